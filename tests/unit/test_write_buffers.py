"""The bytes queued for slow clients are bounded, and the slowest clients are dropped first."""

from api.protocol.write_buffers import WriteBuffers


class Connection:
    """Records whether it was dropped."""

    def __init__(self, buffers):
        self.buffers = buffers
        self.is_dropped = False

    def drop(self):
        self.is_dropped = True


def test_the_slowest_clients_are_dropped_beyond_the_limit():
    buffers = WriteBuffers(limit=250)
    connections = [Connection(buffers) for _ in range(4)]
    for connection in connections:
        buffers.hold(connection, 100, b"")
    assert [each.is_dropped for each in connections] == [True, True, False, False]
    assert (len(buffers), buffers.size) == (2, 200)


def test_a_body_sent_to_several_clients_counts_once():
    buffers = WriteBuffers(limit=1000)
    body, other = b"x" * 300, b"y" * 300
    one, two, three = (Connection(buffers) for _ in range(3))
    buffers.hold(one, 10, body)
    buffers.hold(two, 10, body)
    buffers.hold(three, 10, other)
    assert buffers.size == 630
    buffers.release(one)
    buffers.release(one)
    assert buffers.size == 620
    buffers.release(two)
    assert buffers.size == 310
    buffers.hold(three, 20, other)
    assert buffers.size == 320
    buffers.release(three)
    assert (len(buffers), buffers.size) == (0, 0)


def test_a_client_that_exceeds_the_limit_alone_is_dropped():
    buffers = WriteBuffers(limit=100)
    connection = Connection(buffers)
    buffers.hold(connection, 50, b"x" * 51)
    assert connection.is_dropped
    assert buffers.size == 0
