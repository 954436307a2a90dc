"""The settings: where the guard stands, what is public, and that REST framework asks it who calls."""

import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for development alone")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "examples.django_app.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "kinde_guard.django"]
MIDDLEWARE = [
    "kinde_guard.django.KindeGuardMiddleware",  # CORS middleware belongs above it, all else below
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
KINDE_GUARD = {"public": ["/healthz"]}  # every other path demands a valid token, unknown paths included
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["kinde_guard.drf.KindeAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
USE_TZ = True
