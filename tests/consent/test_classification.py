"""Every field of every model is classified and graded (DSL 21)."""

import pytest
from django.apps import apps
from django.db.models import Model

from consent.programs.models import Controller
from consent.rights.classification import Classified, Kind, classified, classify, columns, faults

OURS = [model for app in ("consent", "tracking", "reports") for model in apps.get_app_config(app).get_models()]


@pytest.mark.parametrize("model", OURS, ids=lambda model: str(model.__name__))
def test_every_field_is_classified_and_none_that_is_gone(model: type[Model]) -> None:
    found = faults(model)
    assert not found, "\n".join([f"in {model._meta.app_label}/personal_data.py", *found])


@pytest.mark.parametrize("model", OURS, ids=lambda model: str(model.__name__))
def test_what_is_sealed_or_opens_it_has_the_highest_grade(model: type[Model]) -> None:
    for name in set(columns(model)) & {"sealed", "wrapped", "salt", "secret_hash", "evidence", "erasure_handle"}:
        assert classified(model)[name].grade >= (3 if name == "erasure_handle" else 4), name


def test_a_missing_field_is_told_with_the_line_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "consent.rights.classification._classified", {"consent.Controller": {"gone": Classified(Kind.PUBLIC, 1)}}
    )
    assert faults(Controller) == [
        'add to Controller: "id": Classified(Kind.…, …),',
        'add to Controller: "name": Classified(Kind.…, …),',
        'add to Controller: "created_at": Classified(Kind.…, …),',
        'take from Controller: "gone" is no field any more',
    ]


def test_a_model_is_classified_once_and_graded_one_to_four() -> None:
    with pytest.raises(ValueError, match="already"):
        classify({Controller: {}})
    with pytest.raises(ValueError, match="1 to 4"):
        Classified(Kind.PUBLIC, 5)
