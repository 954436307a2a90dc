"""Plain views, one of them asynchronous, and one of REST framework's."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kinde_guard.django import requires_auth, requires_org, requires_scope
from kinde_guard.drf import HasScope


def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@requires_auth
async def me(request: HttpRequest) -> HttpResponse:
    token = request.kinde_token
    return JsonResponse({"subject": token.subject, "client_id": token.client_id, "scopes": sorted(token.scopes)})


@requires_scope("read:users")
def users(request: HttpRequest) -> HttpResponse:
    return JsonResponse([{"id": "kp_1", "name": "Ada"}, {"id": "kp_2", "name": "Grace"}], safe=False)


@requires_org(path="org_code")
def report(request: HttpRequest, org_code: str) -> HttpResponse:
    return JsonResponse({"org_code": org_code, "report": "all is well"})


class Flags(APIView):
    permission_classes = (HasScope("write:flags"),)

    def post(self, request: Request) -> Response:
        return Response(request.data, status=201)
