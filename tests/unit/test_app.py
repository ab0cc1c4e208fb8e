"""The application as it is put together."""


def test_nothing_listens_to_each_request(app):
    # Sanic leaves out the signals that nobody listens to; a listener costs a hundredth of a read.
    signals = [signal.name for signal in app.signal_router.routes]
    assert [name for name in signals if name.startswith("http.")] == []
