"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from config.celery import app as celery_app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Hints to workers go out by the Celery application that is set up here; without it they would look for another broker.
celery_app.set_default()
application = get_wsgi_application()
