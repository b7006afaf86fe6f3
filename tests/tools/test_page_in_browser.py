"""The page as a visitor sees it, in a real browser: Chromium of the system, driven by playwright.

Skipped where there is none: pip install '.[page]' playwright, and a package `chromium`.
"""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from processes import config, free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_a_picture_is_dropped_looked_at_and_taken_away(browser, untrained, tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    from convnextv2.tools.deployment.web_page import launch, make_page

    monkeypatch.setitem(os.environ, "GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    (tmp_path / "page.png").write_text("<html>")
    checkpoint = untrained("mask-rcnn", classes=["box", "disc"])
    page = make_page(Config.fromfile(config("mask-rcnn")), checkpoint, [], 0.05, "cpu")
    port = free_port()
    address = launch(page, "127.0.0.1", port, wait=False)
    visit = browser.new_page()
    hosts = set()
    visit.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    visit.goto(address)

    visit.set_input_files("#upload input[type=file]", tmp_path / "photo.png")
    visit.wait_for_selector("#found img")
    visit.wait_for_selector("a[download='results.json']")
    assert visit.is_visible("text=disc") or visit.is_visible("text=box")
    first = visit.get_attribute("#found img", "src")

    # By keys, which release nothing: to .95, where an untrained network finds nothing, and back.
    visit.locator("input[type=range]").first.press("End")
    visit.wait_for_function(f"document.querySelector('#found img').src != '{first}'")
    none = visit.get_attribute("#found img", "src")
    visit.locator("input[type=range]").first.press("Home")
    visit.wait_for_function(f"document.querySelector('#found img').src != '{none}'")
    first = visit.get_attribute("#found img", "src")

    visit.get_by_label("masks").uncheck()
    visit.wait_for_function(f"document.querySelector('#found img').src != '{first}'")
    with visit.expect_download() as download:
        visit.locator("a[download='results.json']").first.click()
    results = json.loads(download.value.path().read_text())
    assert results
    assert {one["file_name"] for one in results} == {"photo.png"}

    visit.click("#upload button[aria-label=Clear]")
    visit.set_input_files("#upload input[type=file]", tmp_path / "page.png")
    visit.wait_for_selector("text=page.png: truncated, or no image")
    assert hosts == {f"127.0.0.1:{port}"}
    page.close()


def test_patches_are_hidden_by_share_and_by_click(browser, untrained, tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    from convnextv2.tools.deployment.web_page import launch, make_page

    monkeypatch.setitem(os.environ, "GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    image = np.random.default_rng(0).integers(0, 255, (128, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    cfg = Config.fromfile(config("fcmae-by-iter"))
    page = make_page(cfg, untrained("fcmae-by-iter"), [], 0.3, "cpu")
    visit = browser.new_page()
    visit.goto(launch(page, "127.0.0.1", free_port(), wait=False))
    visit.set_input_files("#upload input[type=file]", tmp_path / "photo.png")
    visit.wait_for_selector("text=60% of 20 patches are hidden")
    for name in ("visible", "made", "both"):
        visit.wait_for_selector(f"#{name} img")
    visit.click("#visible img")
    visit.wait_for_selector("text=/(55|65)% of 20 patches are hidden/")
    visit.locator("input[type=range]").first.press("Home")
    visit.wait_for_selector("text=5% of 20 patches are hidden")
    page.close()
