"""The codes of a notice in words, for those who read one."""

from django.utils.translation import gettext_lazy as _

METHODS = {
    "collection": _("collection"),
    "storage": _("storage"),
    "use": _("use"),
    "processing": _("processing"),
    "analysis": _("analysis"),
    "aggregation": _("aggregation"),
    "profiling": _("profiling"),
    "automated_decision": _("automated decisions"),
    "transmission": _("transmission"),
    "provision": _("provision to others"),
    "disclosure": _("public disclosure"),
    "deletion": _("deletion"),
}
# Those of the examples; a code of the operator's own stands as it is.
CATEGORIES = {
    "behaviour": _("behaviour"),
    "device": _("device"),
    "profile": _("profile"),
    "location": _("location"),
}
ROLES = {
    "controller": _("another controller"),
    "processor": _("processor"),
}
MECHANISMS = {
    "assessment": _("security assessment"),
    "certification": _("certification"),
    "standard_contract": _("standard contract"),
    "exemption": _("exemption"),
}
