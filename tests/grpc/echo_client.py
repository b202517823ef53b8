"""A client of the service Echo (tests/grpc/echo/messages.go, lib/cpp/examples/echo.proto), with messages of three numbers or four
put together by hand: no generated code is needed."""


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def request(number, delay_ms=0, messages=0):
    return b"".join(varint(field << 3) + varint(value) for field, value in enumerate((number, delay_ms, messages), 1) if value)


def numbers(data):
    """Pairs of a field and its value; bytes are skipped."""
    at = 0

    def read():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
    while at < len(data):
        tag = read()
        value = read()
        if tag & 7 == 2:
            at += value
        else:
            assert tag & 7 == 0, f"wire type {tag & 7}"
            yield tag >> 3, value


def reply(data):
    names = {1: "number", 2: "pid", 3: "slot", 4: "generation"}
    return {"slot": 0, **{names[field]: value for field, value in numbers(data) if field in names}}


class Echo:
    def __init__(self, channel, service, timeout):
        self.channel, self.service, self.timeout = channel, service, timeout

    def unary(self, number, delay_ms=0):
        method = self.channel.unary_unary(f"/{self.service}/Unary", response_deserializer=reply)
        return method(request(number, delay_ms), timeout=self.timeout, wait_for_ready=True)

    def stream(self, number, messages, delay_ms):
        """An iterator of replies, which is also the call."""
        method = self.channel.unary_stream(f"/{self.service}/ServerStream", response_deserializer=reply)
        return method(request(number, delay_ms, messages), timeout=self.timeout, wait_for_ready=True)

    def hang(self):
        return self.channel.unary_stream(f"/{self.service}/Hang", response_deserializer=reply)(
            request(0), timeout=self.timeout, wait_for_ready=True)
