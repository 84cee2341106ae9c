"""Each mapping that comes with the package, against a stub of its service that was written apart from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from seg.remote.mapping import services
from seg.remote.mapping.driving import Stub, drive
from seg.remote.mapping.scenes import HEIGHT, PLACES, WIDTH, disc, picture, pixels

from zoo_opt_seg.blackbox.protocol import BlackBoxError
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.mapping.factories import preset_mapping, presets, with_credentials
from zoo_opt_seg.remote.mapping.service import MappedService
from zoo_opt_seg.remote.terms import Terms

URL = "http://127.0.0.1:7"


@dataclass(frozen=True)
class Case:
    """A mapping: by which prompts it is asked, and whether it answers with probabilities."""

    stub: Callable[[], Stub]
    options: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("point", "two points", "background", "box", "box and point")
    soft: bool = False


def plain(stub: Stub) -> Callable[[], Stub]:
    return lambda: stub


POINTS = ("point", "two points", "background")
CASES = {
    "roboflow-sam": Case(plain(services.roboflow), kinds=POINTS, soft=True),
    "roboflow-sam2": Case(plain(services.roboflow), soft=True),
    "roboflow-sam2-rle": Case(plain(services.roboflow)),
    "roboflow-sam3": Case(plain(services.roboflow)),
    "roboflow-sam3-text": Case(plain(services.roboflow), kinds=("text",)),
    "hf-labels": Case(plain(services.hugging_face), {"url": URL}, kinds=("text",)),
    "hf-points": Case(plain(services.own_handler), {"url": URL}, soft=True),
    "fal-sam2": Case(plain(services.fal)),
    "fal-sam2-queue": Case(services.FalQueue),
    "fal-sam3": Case(plain(services.fal), kinds=("text",)),
    "replicate": Case(services.Replicate, {"version": "v1"}, kinds=POINTS),
    "cvat": Case(plain(services.cvat), {"url": URL}),
    "sagemaker": Case(plain(services.container), {"url": f"{URL}/endpoints/sam/invocations"}, soft=True),
    "azure-ml": Case(plain(services.container), {"url": f"{URL}/score"}, soft=True),
    "vertex": Case(plain(services.vertex), {"url": f"{URL}/v1/projects/p/endpoints/e:predict"}, soft=True),
    "livepeer-sam2": Case(plain(services.livepeer), soft=True),
}


def prompts_for(kind: str, name: str) -> Prompts:
    x, y, radius = PLACES[name]
    other = next(place for key, place in PLACES.items() if key != name)
    box = np.array([[x - radius, y - radius, x + radius, y + radius]], np.float32)
    points = {
        "point": ([[x + 2.25, y - 3]], [1]),
        "two points": ([[x + 2.25, y - 3], [x - 4, y]], [1, 1]),
        # more of its points lie in the other disc, and are on the background
        "background": ([[x, y], [other[0], other[1]], [other[0] + 1, other[1]]], [1, 0, 0]),
        "box and point": ([[x, y]], [1]),
    }
    if kind == "text":
        return Prompts(texts=(name,))
    if kind == "box":
        return Prompts(boxes=box)
    at, labels = points[kind]
    boxes = box if kind == "box and point" else None
    return Prompts(np.array([at], np.float32), np.array([labels], np.int64), boxes)


def made(name: str) -> MappedService:
    return MappedService(preset_mapping(name, CASES[name].options))


def test_every_preset_has_a_case() -> None:
    assert set(CASES) == set(presets()) and all(presets().values())


@pytest.mark.parametrize("name", ["red disc", "green disc"])
@pytest.mark.parametrize(("preset", "kind"), [(preset, kind) for preset, case in CASES.items() for kind in case.kinds])
def test_the_object_is_found_where_it_is(preset: str, kind: str, name: str) -> None:
    adapter, case = made(preset), CASES[preset]
    done = drive(adapter, case.stub(), picture(), prompts_for(kind, name))
    assert done.mask.shape == (HEIGHT, WIDTH) and done.paid == 1
    assert done.mask.dtype == (np.float32 if case.soft else np.bool_) and adapter.hard is not case.soft
    assert ((done.mask > 0.5) == disc(name)).all()
    if case.soft:  # the border is less certain than the middle
        x, y, radius = PLACES[name]
        assert 0.5 < done.mask[y, x + radius] < 0.8 < 0.95 < done.mask[y, x]


@pytest.mark.parametrize("preset", CASES)
def test_the_pixels_arrive_as_they_are(preset: str) -> None:
    """Floats too, as the nearest of 256 levels."""
    seen: list[Any] = []
    case, image = CASES[preset], picture()
    kept = services.pixels

    def note(content: bytes) -> Any:
        seen.append(kept(content))
        return seen[-1]

    services.pixels = note  # type: ignore[assignment]
    try:
        drive(made(preset), case.stub(), image, prompts_for(case.kinds[0], "red disc"))
        drive(made(preset), case.stub(), image.astype(np.float32) / 255, prompts_for(case.kinds[0], "red disc"))
    finally:
        services.pixels = kept
    assert len(seen) == 2 and all((got == image).all() for got in seen)


@pytest.mark.parametrize("preset", CASES)
def test_no_secret_is_in_a_request(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the transport's to add, and the adapter does not know them."""
    for variable in ("ROBOFLOW_API_KEY", "HF_TOKEN", "FAL_KEY", "REPLICATE_API_TOKEN", "AZUREML_KEY", "VERTEX_TOKEN"):
        monkeypatch.setenv(variable, "very-secret-value")
    adapter, case = made(preset), CASES[preset]
    done = drive(adapter, case.stub(), picture(), prompts_for(case.kinds[0], "red disc"))
    sent = repr([(r.url, r.headers, r.content, r.job) for r in done.requests]) + adapter.name + repr(adapter.mapping)
    assert "very-secret-value" not in sent
    assert not any("$" in value for request in done.requests for value in request.headers.values())


def test_what_a_service_has_no_place_for_is_said_before_anything_is_sent() -> None:
    box, text = prompts_for("box", "red disc"), prompts_for("text", "red disc")
    for preset, prompts, word in (
        ("roboflow-sam", box, "takes no boxes"),
        ("roboflow-sam3-text", prompts_for("point", "red disc"), "takes no points"),
        ("roboflow-sam3-text", Prompts(texts=("",)), "is asked by a text"),
        ("cvat", text, "takes no texts"),
        ("cvat", Prompts.nothing(1), "needs points or a box"),
        ("cvat", Prompts(masks=np.zeros((1, 4, 4), np.float32)), "takes no masks"),
        ("cvat", Prompts(boxes=np.zeros((2, 4), np.float32)), "of one image, got 2"),
    ):
        with pytest.raises(ValueError, match=word):
            made(preset).question(picture(), prompts)


def test_too_long_a_body_is_said_before_it_is_sent() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3)).astype(np.uint8)
    with pytest.raises(ValueError, match="takes 1500000 bytes at most, the request has 2"):
        made("vertex").question(noise, prompts_for("point", "red disc"))


# ------------------------------------------------------------------------------------------------------------- jobs
@pytest.mark.parametrize("preset", ["replicate", "fal-sam2-queue"])
def test_a_job_is_gone_on_with_and_not_paid_again(preset: str) -> None:
    adapter, stub, prompts = made(preset), CASES[preset].stub(), prompts_for("point", "red disc")
    cut = drive(adapter, stub, picture(), prompts, stop=2)
    assert cut.paid == 1 and cut.requests[0].job == "" and cut.requests[1].job and cut.requests[1].after > 0
    again = drive(adapter, stub, picture(), prompts, job=cut.requests[1].job)
    assert again.paid == 0 and (again.mask == disc("red disc")).all()
    with pytest.raises(ValueError, match="job must be one of this service"):
        adapter.question(picture(), prompts, "something else")


def test_a_job_that_fails_says_why() -> None:
    with pytest.raises(BlackBoxError, match="the job has failed: CUDA out of memory"):
        drive(made("replicate"), services.Replicate(fails=True), picture(), prompts_for("point", "red disc"))


def test_results_are_fetched_from_hosts_that_are_named_alone() -> None:
    stub = services.FalQueue(address="https://elsewhere.example")
    with pytest.raises(BlackBoxError, match=r"is on the host 'elsewhere\.example', from which nothing is fetched"):
        drive(made("fal-sam2-queue"), stub, picture(), prompts_for("point", "red disc"))


# ------------------------------------------------------------------------------------------------------ credentials
def test_credentials_go_to_the_terms_as_references(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ROBOFLOW_API_KEY", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf-value-of-a-token")
    fal = with_credentials(preset_mapping("fal-sam2"), Terms())
    assert fal.headers == {"Authorization": "Key $FAL_KEY"} and "$FAL_KEY is sent to fal.run" in caplog.text
    own = with_credentials(preset_mapping("fal-sam2"), Terms(headers={"authorization": "Key $MINE"}))
    assert own.headers == {"authorization": "Key $MINE"}
    assert with_credentials(preset_mapping("roboflow-sam2"), Terms()).headers == {}
    hf = preset_mapping("hf-labels", {"url": "https://host.example/x"})
    assert with_credentials(hf, Terms()).headers == {"Authorization": "Bearer $HF_TOKEN"}
    plainly = preset_mapping("hf-labels", {"url": "http://host.example/x"})
    assert with_credentials(plainly, Terms()).headers == {} and "$HF_TOKEN is not sent" in caplog.text
    with pytest.raises(ValueError, match=r"sends \$FAL_KEY to host.example by http"):
        with_credentials(preset_mapping("fal-sam2", {"url": "http://host.example"}), Terms())
    assert "hf-value" not in caplog.text


def test_a_stub_refuses_what_its_service_would() -> None:
    """So that a mapping which is wrong is seen: corners of a box are not its centre, a JPEG is no PNG."""
    body = {"image": {"type": "base64", "value": services.text64(services.png(picture()))}, "format": "rle"}
    body["prompts"] = {"prompts": [{"box": {"x": 14, "y": 18, "width": 26, "height": 26}}]}
    headers = {"content-type": "application/json"}
    asked = services.Asked("POST", "/sam2/segment_image", headers, services.told(body)[2])
    status, _, content = services.roboflow(asked)
    wrong = services.coco_rle(np.zeros((HEIGHT, WIDTH), bool))["counts"]
    assert status == 200 and wrong in content.decode()
    assert pixels(services.png(picture())).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("preset", CASES)
def test_damaged_replies_are_masks_or_black_box_errors(preset: str) -> None:
    """One of the replies of an exchange, with a few bytes changed, and its end cut off now and then."""
    case, rng, failed = CASES[preset], np.random.default_rng(23), 0
    prompts = prompts_for(case.kinds[0], "red disc")
    replies = len(drive(made(preset), case.stub(), picture(), prompts).requests)
    for _ in range(40):
        stub, left = case.stub(), [int(rng.integers(replies))]

        def damaged(asked: services.Asked, stub: Stub = stub, left: list[int] = left) -> services.Answer:
            status, headers, content = stub(asked)
            left[0] -= 1
            if left[0] != -1:
                return status, headers, content
            wrong = bytearray(content)
            for _ in range(rng.integers(1, 5)):
                wrong[rng.integers(len(wrong))] = rng.integers(256)
            return status, headers, bytes(wrong[: rng.integers(len(wrong))] if rng.random() < 0.3 else wrong)

        try:
            done = drive(made(preset), damaged, picture(), prompts, stop=8)
        except BlackBoxError as error:
            failed += 1
            assert len(str(error)) < 600 and "\n" not in str(error)
        except (services.Misused, KeyError):  # it was an address that was changed, which the stub does not know
            failed += 1
        else:
            assert done.mask.shape in ((), (HEIGHT, WIDTH))  # () where a job is never done
    assert failed >= 10
