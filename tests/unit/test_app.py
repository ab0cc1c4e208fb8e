"""The assembled application."""


def test_no_signal_of_a_request_has_a_listener(app):
    # Sanic skips signals without listeners; a listener costs a hundredth of a read.
    signals = [signal.name for signal in app.signal_router.routes]
    assert [name for name in signals if name.startswith("http.")] == []
