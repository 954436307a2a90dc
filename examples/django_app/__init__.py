"""A Django project behind kinde_guard, configured by the environment alone (KINDE_DOMAIN, KINDE_AUDIENCE).

gunicorn --threads 8 examples.django_app.wsgi:application
uvicorn examples.django_app.asgi:application
DJANGO_SETTINGS_MODULE=examples.django_app.settings python -m django check
"""
