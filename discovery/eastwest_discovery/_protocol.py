"""What registry.proto says in words: the numbers that both sides go by."""

PROTOCOL = 1  # the version that requests and answers carry
NUMBER_BYTES = 8  # of a request, in the frame before it
BOOT_BYTES = 8  # other ones after each start of a server
