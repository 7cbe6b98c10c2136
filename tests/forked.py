"""Several processes of one run, forked when PyTorch is imported: torchrun and each of its own would import it anew."""

import os
import signal
import socket


def run_forked(main, count=2):
    """Call `main` in `count` children that see what torchrun's processes see; leave with the first code that is not 0.

    The caller has a process of its own in which nothing ran yet but imports: threads do not survive a fork.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = {}
    for rank in range(count):
        child = os.fork()
        if child == 0:
            os.environ.update(
                RANK=f"{rank}",
                LOCAL_RANK=f"{rank}",
                WORLD_SIZE=f"{count}",
                LOCAL_WORLD_SIZE=f"{count}",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=f"{port}",
                TORCHELASTIC_RUN_ID="forked",
            )
            main()
            raise SystemExit
        children[child] = rank
    code = 0
    while children:
        child, status = os.wait()
        children.pop(child)
        code = code or os.waitstatus_to_exitcode(status)
        if code:  # the others would wait for it
            for other in children:
                os.kill(other, signal.SIGKILL)
    raise SystemExit(code)
