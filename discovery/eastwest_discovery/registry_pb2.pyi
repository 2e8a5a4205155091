from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

BAD_PROTOCOL: Problem
BAD_REQUEST: Problem
DESCRIPTOR: _descriptor.FileDescriptor
LIMIT_REACHED: Problem
NONE: Problem
NOT_ALLOWED: Problem

class Answer(_message.Message):
    __slots__ = ["boot", "changes", "complete", "held", "problem", "protocol", "status", "text"]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    boot: bytes
    changes: Changes
    complete: bool
    held: Held
    problem: Problem
    protocol: int
    status: Status
    text: str
    def __init__(self, protocol: _Optional[int] = ..., boot: _Optional[bytes] = ..., complete: bool = ..., held: _Optional[_Union[Held, _Mapping]] = ..., changes: _Optional[_Union[Changes, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., problem: _Optional[_Union[Problem, str]] = ..., text: _Optional[str] = ...) -> None: ...

class Changes(_message.Message):
    __slots__ = ["base", "gone", "more", "records", "revision", "snapshot"]
    BASE_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    base: int
    gone: _containers.RepeatedCompositeFieldContainer[Gone]
    more: bool
    records: _containers.RepeatedScalarFieldContainer[bytes]
    revision: int
    snapshot: bool
    def __init__(self, records: _Optional[_Iterable[bytes]] = ..., gone: _Optional[_Iterable[_Union[Gone, _Mapping]]] = ..., revision: _Optional[int] = ..., base: _Optional[int] = ..., snapshot: bool = ..., more: bool = ...) -> None: ...

class Gone(_message.Message):
    __slots__ = ["instance", "namespace", "service"]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    instance: str
    namespace: str
    service: str
    def __init__(self, namespace: _Optional[str] = ..., service: _Optional[str] = ..., instance: _Optional[str] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ["outcome", "version"]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    version: int
    def __init__(self, outcome: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Poll(_message.Message):
    __slots__ = ["base", "boot", "namespace", "revision", "service", "wait_ms"]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    base: int
    boot: bytes
    namespace: str
    revision: int
    service: str
    wait_ms: int
    def __init__(self, namespace: _Optional[str] = ..., service: _Optional[str] = ..., boot: _Optional[bytes] = ..., revision: _Optional[int] = ..., base: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class Put(_message.Message):
    __slots__ = ["record"]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: bytes
    def __init__(self, record: _Optional[bytes] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ["poll", "protocol", "put", "status", "withdraw"]
    POLL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    poll: Poll
    protocol: int
    put: Put
    status: bool
    withdraw: Withdraw
    def __init__(self, protocol: _Optional[int] = ..., put: _Optional[_Union[Put, _Mapping]] = ..., withdraw: _Optional[_Union[Withdraw, _Mapping]] = ..., poll: _Optional[_Union[Poll, _Mapping]] = ..., status: bool = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ["numbers"]
    class NumbersEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.ScalarMap[str, float]
    def __init__(self, numbers: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Withdraw(_message.Message):
    __slots__ = ["instance", "namespace", "service", "ttl", "version"]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    instance: str
    namespace: str
    service: str
    ttl: int
    version: int
    def __init__(self, namespace: _Optional[str] = ..., service: _Optional[str] = ..., instance: _Optional[str] = ..., version: _Optional[int] = ..., ttl: _Optional[int] = ...) -> None: ...

class Problem(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
