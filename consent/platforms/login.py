"""Whether who logged in at the platform is the data subject."""

from consent.platforms.calls import PlatformIdentity
from consent.programs.tenancy import tenant
from consent.vault.identities import Vault, checked, opened, resolve_many
from consent.vault.models import Subject


def matches(*, vault: Vault, program_id: int, subject_id: int | None, identity: PlatformIdentity) -> bool:
    """Each of the identifiers that anybody is known by here has to be this subject's, and one of them known.

    Where they are two people's, nobody is proven to be either. Who is known by the caller's own id alone matches nobody. None is
    somebody nobody knows: of whom the platform's identifiers are unknown, too.
    Raises Invalid where the platform's identifier is none that Zhiqing could keep.
    """
    named = [("openid", identity.openid), ("openid", identity.user_id), ("unionid", identity.unionid)]
    with tenant(program_id):
        found = resolve_many(vault, program_id, [checked({kind: value}) for kind, value in named if value])
        openid = _openid(vault, program_id, subject_id)
    if openid is not None and openid not in (identity.openid, identity.user_id):
        return False
    known = {each for each in found if each is not None}
    return known == (set() if subject_id is None else {subject_id})


def _openid(vault: Vault, program_id: int, subject_id: int | None) -> str | None:
    subject = Subject.objects.filter(program_id=program_id, id=subject_id).first() if subject_id is not None else None
    return opened(vault, subject).get("openid") if subject is not None else None
