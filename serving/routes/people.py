"""What comes of people with their consent, and their right to be forgotten."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import JSONResponse, Response

from recsys.contracts.events import MAX_ID_LENGTH
from recsys.errors import ContractError
from serving.problems import problems
from serving.service import ServiceParameter
from serving.wire.people import EventsAnswer, EventsRequest, ForgottenAnswer

router = APIRouter(prefix="/v1", tags=["people"])


class _Text(Convertor[str]):
    """The rest of a path, whatever it is: in Starlette's own `path` a line break is the end, and ids may hold one."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Returns the text as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Returns the text as it is."""
        return value


register_url_convertor("text", _Text())

UserParameter = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH, description="Whom to forget.")]


@router.post("/events", summary="Consented events", responses=problems(400, 413, 422, 429, 500, 503))
async def events(body: EventsRequest, request: Request, service: ServiceParameter) -> EventsAnswer:
    """Keeps events that people consented to; the answer comes when they are on the disk.

    Send them again if no answer came: an event id counts once. All are kept or none. The next `tandem train` learns
    from them; recommendations by `user_id` know at once what was liked.
    """
    limit = service.settings.max_events
    if len(body.events) > limit:
        raise ContractError(f"Expected at most {limit} events, got {len(body.events)}. Send them in several requests.")
    contracts = [event.to_contract() for event in body.events]
    receipt = await service.write(request, lambda: service.inbox.receive(contracts))
    return EventsAnswer(
        accepted=receipt.num_accepted, duplicates=len(contracts) - receipt.num_accepted, degraded=receipt.degraded
    )


@router.delete(
    "/users/{user_id:text}",
    summary="Forget a person",
    response_model=ForgottenAnswer,
    responses={
        202: {
            "description": "Forgotten for all that is served; the files follow when the running training has ended.",
            "model": ForgottenAnswer,
            "content": {"application/json": {"example": ForgottenAnswer(status="pending").model_dump()}},
        },
        **problems(422, 429, 500, 503),
    },
)
async def forget(user_id: UserParameter, request: Request, service: ServiceParameter) -> Response:
    """Removes a person from sessions, event log, device shards and prepared examples, at once and for good.

    Somebody unknown is forgotten as well: the answer tells nothing. While a training runs the answer is 202: what is
    served has forgotten, and the files are cleared when it has ended, by it or by this server, whichever comes first.
    What a bundle learned of the person, in weights and counts over many, goes with the next training.
    """
    done = await service.write(request, lambda: service.inbox.forget(user_id))
    answer = ForgottenAnswer(status="forgotten" if done else "pending")
    return JSONResponse(answer.model_dump(), status_code=200 if done else 202)
