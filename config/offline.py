"""Settings of the commands that need neither the service nor a secret of it: no database, nothing from the environment."""

INSTALLED_APPS = ["consent", "django.contrib.auth", "django.contrib.contenttypes"]
DATABASES: dict[str, dict[str, str]] = {}
LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"

ZHIQING_JOURNAL_DIR = None
ZHIQING_JOURNAL_URL = None
ZHIQING_JOURNAL_TOKEN = None
