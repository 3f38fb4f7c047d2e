"""What a reports call is answered, by metric."""

import msgspec

from reports.api.answers.derived import AnomaliesAnswered, ContributionAnswered, ForecastAnswered
from reports.api.answers.events import ConversionAnswered, FunnelAnswered, QualityAnswered, TrendsAnswered
from reports.api.answers.people import (
    ActivityAnswered,
    FrequencyAnswered,
    IntervalsAnswered,
    LifecycleAnswered,
    RetentionAnswered,
    StickinessAnswered,
)
from reports.api.answers.visits import (
    DistributionsAnswered,
    OverviewAnswered,
    PagesAnswered,
    PathsAnswered,
    SessionsAnswered,
    SharesAnswered,
)

ANSWERED: dict[str, type[msgspec.Struct]] = {
    "activity": ActivityAnswered,
    "anomalies": AnomaliesAnswered,
    "contribution": ContributionAnswered,
    "conversion": ConversionAnswered,
    "distributions": DistributionsAnswered,
    "forecast": ForecastAnswered,
    "frequency": FrequencyAnswered,
    "funnel": FunnelAnswered,
    "intervals": IntervalsAnswered,
    "lifecycle": LifecycleAnswered,
    "overview": OverviewAnswered,
    "pages": PagesAnswered,
    "paths": PathsAnswered,
    "quality": QualityAnswered,
    "retention": RetentionAnswered,
    "sessions": SessionsAnswered,
    "shares": SharesAnswered,
    "stickiness": StickinessAnswered,
    "trends": TrendsAnswered,
}
"""By metric; a test holds them and the registry together."""
