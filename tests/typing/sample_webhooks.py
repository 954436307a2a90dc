"""What a user of ``kinde_guard.webhooks`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from fastapi import FastAPI
from flask import Flask

from kinde_guard import Guard
from kinde_guard import fastapi as on_fastapi
from kinde_guard import flask as on_flask
from kinde_guard.webhooks import InvalidWebhook, UserDeleted, WebhookEvent, WebhookReader, WebhookReceiver


def on_event(event: WebhookEvent) -> None:
    if isinstance(event, UserDeleted):
        print(event.user_id.upper(), event.time + 1)


async def on_event_in_a_loop(event: WebhookEvent) -> None:
    print(event.type)


on_fastapi.KindeGuard(FastAPI(), webhooks="/webhooks/kinde", on_event=on_event_in_a_loop)
on_flask.KindeGuard(Flask(__name__), webhooks="/webhooks/kinde", on_event=on_event)
receiver = WebhookReceiver(Guard(), on_event=on_event)
reader = WebhookReader("acme.kinde.com")


def read(body: bytes) -> str:
    try:
        return reader.read(body).id
    except InvalidWebhook as refused:
        return refused.reason


on_fastapi.KindeGuard(FastAPI(), webhook="/webhooks/kinde", on_event=on_event)  # type: ignore[call-arg]
on_fastapi.KindeGuard(FastAPI(), webhooks=True, on_event=on_event)  # type: ignore[arg-type]
WebhookReceiver(Guard(), on_event="print")  # type: ignore[arg-type]
reader.read(None)  # type: ignore[arg-type]
