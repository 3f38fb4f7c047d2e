"""Whom Django lets in: asked at the sign-in and again with each request of a session."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from consent import edge
from consent.officers import accounts, attempts


class Officers(ModelBackend):
    """Accounts that are active and whose time is not over. Who tries too often is not looked at, which nothing tells."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        now, lookup = edge.now(), edge.vault().lookup
        counters = [attempts.counter(lookup, "account", username)]
        if request is not None and (found_at := address(request)):
            counters.append(attempts.counter(lookup, "address", found_at))
        if not attempts.begin(counters, now=now):
            return None
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if isinstance(user, User):
            attempts.succeeded(counters)
            return user
        found = User.objects.filter(username=username).values_list("pk", flat=True).first()
        attempts.failed(counters, account=accounts.NOBODY if found is None else accounts.named(found), now=now)
        return None

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.select_related("staff").filter(pk=user_id).first()
        return user if self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: AbstractBaseUser | AnonymousUser | None) -> bool:
        return (
            isinstance(user, User) and super().user_can_authenticate(user) and not accounts.ended(user, now=edge.now())
        )


def address(request: HttpRequest) -> str:
    """Where the caller is: of IPv6 the network, which is one customer's. Behind a proxy that ends TLS it is what the first of ours
    has added to X-Forwarded-For, with a port or without; what stands before it anybody may have written. Empty where it is none: of
    nobody in particular nothing is counted."""
    told = request.META.get("REMOTE_ADDR", "")
    if settings.TLS_PROXY:
        told = request.META.get("HTTP_X_FORWARDED_FOR", told).split(",")[-settings.ZHIQING_PROXIES :][0].strip()
    try:
        found = ip_address(_without_port(told))
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((int(found), 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)


def _without_port(told: str) -> str:
    """Some gateways write `[2001:db8::1]:443` or `192.0.2.1:443`."""
    if told.startswith("["):
        return told[1:].partition("]")[0]
    host, colon, _ = told.rpartition(":")
    return host if colon and "." in host and ":" not in host else told
