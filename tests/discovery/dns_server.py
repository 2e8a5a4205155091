"""A small server of DNS, for tests."""

import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class Server:
    """Answers over UDP from a table of (name, type): (ttl, texts); counts what it is asked."""

    def __init__(self, where: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.table: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.rcode: dns.rcode.Rcode | None = None  # of every answer
        self.is_silent = False
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(where)
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            question, peer = self._socket.recvfrom(4096)
            if not question:
                return
            message = dns.message.from_wire(question)
            name, kind = message.question[0].name.to_text(), message.question[0].rdtype
            self.asked.append(f"{name} {kind.name}")
            if not self.is_silent:
                answer = self._answer(message, name, kind.name)
                self._socket.sendto(answer.to_wire(), peer)

    def _answer(self, message: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        answer = dns.message.make_response(message)
        answer.flags |= dns.flags.RA
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif (name, kind) in self.table:
            ttl, texts = self.table[name, kind]
            answer.answer.append(dns.rrset.from_text_list(name, ttl, "IN", kind, texts))
        elif not any(each == name for each, _ in self.table):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def close(self) -> None:
        self._socket.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()
