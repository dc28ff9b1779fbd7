from tests.hostile.payloads import SEED


def pytest_report_header():
    return f"hostile input drawn by HOSTILE_SEED={SEED}"
