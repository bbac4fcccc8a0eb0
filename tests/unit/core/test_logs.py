import io
import json
import logging

import pytest

from nlrl.core import UserError
from nlrl.core.logs import log_context, redact, setup_logging


@pytest.fixture(autouse=True)
def restored():
    logger = logging.getLogger("nlrl")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_text_lines_carry_run_and_request():
    out = io.StringIO()
    setup_logging("INFO", stream=out)
    log = logging.getLogger("nlrl.models")
    with log_context(run="monday"), log_context(request="3f0c"):
        log.info("drew %d", 8)
    log.info("outside")
    log.debug("too fine")
    first, second = out.getvalue().splitlines()
    assert "INFO nlrl.models run=monday request=3f0c drew 8" in first
    assert second.endswith("INFO nlrl.models outside")


def test_json_lines_and_errors():
    out = io.StringIO()
    setup_logging(logging.DEBUG, json=True, stream=out)
    try:
        raise ValueError('broken "quoted"')
    except ValueError:
        logging.getLogger("nlrl").exception("it failed")
    record = json.loads(out.getvalue())
    assert record["level"] == "ERROR" and record["message"] == "it failed"
    assert 'broken "quoted"' in record["error"] and record["time"].endswith("Z")


def test_setting_up_twice_prints_once_and_keeps_the_handlers_of_others():
    logger = logging.getLogger("nlrl")
    other = logging.NullHandler()
    logger.addHandler(other)
    out = io.StringIO()
    setup_logging("INFO", stream=io.StringIO())
    setup_logging("INFO", stream=out)
    logger.info("once")
    assert out.getvalue().count("once") == 1
    assert other in logger.handlers


def test_unknown_level():
    with pytest.raises(UserError, match="Known: CRITICAL"):
        setup_logging("LOUD")


@pytest.mark.parametrize("json_lines", [False, True])
def test_secrets_never_reach_the_log(monkeypatch, json_lines):
    monkeypatch.setenv("OPENAI_API_KEY", 'odd"key\\with escapes')
    out = io.StringIO()
    setup_logging("INFO", json=json_lines, stream=out)
    log = logging.getLogger("nlrl")
    log.info("key is %s", 'odd"key\\with escapes')
    log.info("Authorization: Bearer abcdef123456")
    log.info("hosted at https://me:hunter2@example.org/v1?api_key=abcd1234efgh")
    log.info("sk-proj-abcdefghijkl and hf_abcdefghijkl")
    text = out.getvalue()
    for secret in ("with escapes", "abcdef123456", "hunter2", "abcd1234efgh", "abcdefghijkl"):
        assert secret not in text
    assert "example.org" in text


def test_harmless_text_is_untouched():
    text = "task-based risk at http://localhost:8000/v1, tokens=4000, the secret of 17 + 25, a password manager"
    assert redact(text) == text
