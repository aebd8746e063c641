"""Debugging a recorded client with a log: DPDK frees its heap, and 52 regions stay. Whose fault is it?

Every UNREGISTER_MEMORY returned 0. The log tells what happened below that answer, and which earlier
call had left things as they were.
"""

from actors.execute.play import play
from actors.program import builtin_streams, load_stream
from actors.testing.capture import LogCapture
from actors.trace.schema import Reply, Request
from actors.trace.text import result

UNREGISTER = "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY"
UNMAP = "VFIO_IOMMU_UNMAP_DMA"

stream = load_stream(builtin_streams()["dpdk-heap-grow-shrink"])
log = LogCapture()
outcome = play(stream, "v6.12", blame=False, log=log)
log.close()
print(f"left: {outcome.final.pinned_pages:,} pinned pages")

answers = [log.caused(call, Reply, request="sys_ioctl")[-1].ret for call in log.calls(UNREGISTER)]
print(f"{len(answers)} calls of {UNREGISTER}, {answers.count(0)} returned 0")

inner = log.caused(UNREGISTER, Reply, request="mm_iommu_put")
busy = [reply for reply in inner if reply.ret < 0]
print(f"below them mm_iommu_put failed {len(busy)} times, with {result(busy[0].ret)}:")
for cause in log.chain(busy[0]):
    if isinstance(cause, Request):
        print(f"  {cause.to:12} {cause.request}")

unmaps = [call for call in log.calls(UNMAP) if call.step < busy[0].step]
print(f"the UNMAP before it: iova={unmaps[-1].args['iova']:#x} size={unmaps[-1].args['size']:#x}")
print("a struct of MAP was passed: its vaddr lies where UNMAP has its iova, its iova where the size is")
