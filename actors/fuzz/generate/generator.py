"""From a seed to a program.

Each program has weights of its own, and about half of the operations are off: a program that may do
everything does a little of each and nothing often enough (Groce, Zhang, Eide, Chen, Regehr: Swarm
testing, ISSTA 2012).
"""

from __future__ import annotations

from copy import deepcopy
from itertools import accumulate
from random import Random

from msgspec import structs

from actors.fuzz.generate.draw import GIB, KIB, MIB, Draw
from actors.fuzz.generate.grammar import AGAINST, RULES, run_on
from actors.fuzz.generate.mutate import repaired
from actors.fuzz.generate.scene import Scene
from actors.program import Address, MachineSpec, Program, Step, ThreadSpec

AIMS = 3
"""Steps that are drawn in a duel for each that is taken."""

SCALES = (0.5, 1.0, 1.0, 2.0, 4.0)
"""By how much the weight of an operation that is on is changed."""


class Weights:
    """Which operations a program is made of, and how often each is drawn.

    Args:
        random: decides.
        uniform: every operation as often as any other.
    """

    def __init__(self, random: Random, uniform: bool = False) -> None:
        self.ops = list(RULES)
        self.cumulative: list[float] = list(range(1, len(RULES) + 1))
        if not uniform:
            self.swarm(random)

    def swarm(self, random: Random) -> None:
        """Switch half of the operations off, and change the weights of the others."""
        on = [op for op in RULES if random.random() < 0.5] or list(RULES)
        self.ops = on
        self.cumulative = list(accumulate(RULES[op][0] * SCALES[int(random.random() * 5)] for op in on))

    def draw(self, random: Random) -> str:
        """One operation."""
        at = random.random() * self.cumulative[-1]
        return next(op for op, upto in zip(self.ops, self.cumulative, strict=True) if at < upto)


class Generator:
    """Makes one program.

    Args:
        seed: the same seed, the same program.
        uniform: no swarm and no duels; what campaigns are measured against.
    """

    def __init__(self, seed: int, uniform: bool = False) -> None:
        self.random = Random(seed)
        self.seed = seed
        self.uniform = uniform
        self.scene = Scene(self.machine())
        self.draw = Draw(self.random, self.scene, self.pick((0.99, 0.97, 0.9, 0.75)))
        self.weights = Weights(self.random, uniform)

    def pick(self, options: tuple[float, ...]) -> float:
        """One of some numbers."""
        return options[int(self.random.random() * len(options))]

    def machine(self) -> MachineSpec:
        """A small machine, mostly an ordinary one."""
        random = self.random
        return MachineSpec(
            page_size=4 * KIB if random.random() < 0.2 else 64 * KIB,
            cpus=2 if random.random() < 0.8 else 3,
            groups=1 if random.random() < 0.35 else 2 if random.random() < 0.85 else 3,
            platform="powernv8" if random.random() < 0.1 else "powernv9",
            dma32_window_size=GIB if random.random() < 0.1 else 2 * GIB,
            rlimit_memlock=None if random.random() < 0.93 else 8 * MIB,
        )

    def program(self) -> Program:
        """The program of the seed."""
        setup = self.setup()
        threads = tuple(self.threads())
        program = Program(
            f"fuzz-{self.seed}",
            machine=self.scene.machine,
            setup=setup,
            threads=threads,
            finally_=self.finish(),
        )
        return repaired(program)

    # -- setup ---------------------------------------------------------------------------------

    def setup(self) -> tuple[Step, ...]:
        """What runs alone first: containers with groups, memory, and how far they have come.

        In a bare one nothing is registered yet, so that the threads are the first to do it.
        """
        self.steps: list[Step] = []
        chance = self.draw.chance
        bare = not self.uniform and chance(0.2)
        containers = 1 if chance(0.4 if self.scene.machine.groups > 1 else 0.85) else 2
        for number in range(containers):
            self.container(number, containers)
            if chance(0.85) and (not number or chance(0.7)):
                self.do("mmap")
            if not bare and chance(0.45):
                self.register(f"C{number}")
        for op, part, most in (
            ("reg", 0.6, containers), ("map", 0.5, 1 + containers), ("enable", 0.1, 1), ("create", 0.2, 1),
            ("devfd", 0.1, 1), ("remove", 0.1, 1),
            ("rlimit", 0.08, 1), ("dropcap", 0.08, 1), ("unmap", 0.1, 1),
        ):  # fmt: skip
            for _ in range(most):
                if not (bare and op in ("reg", "map")) and chance(part):
                    self.do(op)
        if chance(0.45):
            self.do("mmap")
        if chance(0.3):
            self.child()
        if chance(0.25):
            self.borrow()
        for _ in range(self.random.randrange(4) if chance(0.4) else 0):
            self.do(self.weights.draw(self.random))
        return tuple(self.steps)

    def container(self, number: int, of: int) -> None:
        """Open a container and let some groups join, mostly as a client would."""
        scene, chance = self.scene, self.draw.chance
        self.take(Step("open", path="/dev/vfio/vfio", fd=f"C{number}"))
        free = [g for g in range(scene.machine.groups) if g not in scene.index_of.values()]
        wanted = len(free) if number == of - 1 and chance(0.3) else 1
        for index in free[:wanted]:
            name = scene.fresh("G", scene.names)
            self.take(Step("open", path="/dev/vfio/<group>", group_index=index, fd=name))
            if chance(0.95):
                self.take(Step("setcont", fd=name, container=f"C{number}"))
        if free and chance(0.95):
            kind = 7 if chance(0.85) else 2
            self.take(Step("setiommu", fd=f"C{number}", iommu_type=kind))
            if kind == 2 and chance(0.8):
                self.take(Step("enable", fd=f"C{number}"))

    def register(self, container: str) -> None:
        """Register the latest region of memory, whole, as a client would do with the memory it has."""
        regions = self.scene.processes[0].regions
        if regions:
            name, pages = list(regions.items())[-1]
            self.take(Step("reg", fd=container, vaddr=Address(name), size=Address(None, 0, pages)))

    def child(self) -> None:
        """A second process, often with memory of its own."""
        actor = self.scene.actors
        self.take(Step("clonevm" if self.draw.chance(0.15) else "fork", new_actor=actor))
        if self.draw.chance(0.5):
            self.do("mmap", actor)
        if self.draw.chance(0.2):
            self.do("reg", actor)

    def borrow(self) -> None:
        """A CPU runs a process and then something that borrows its mm."""
        cpu = self.random.randrange(self.scene.machine.cpus)
        self.steps.append(Step("run", cpu=cpu, task=f"actor:{self.random.choice(self.scene.alive or [0])}"))
        if self.draw.chance(0.7):
            self.steps.append(Step("run", cpu=cpu, task=f"kthread:kworker/{cpu}:0"))

    def take(self, step: Step, actor: int = 0) -> None:
        """Add a step to the setup."""
        owned: Step = structs.replace(step, actor=actor)
        self.steps.append(owned)
        self.scene.absorb(owned, actor)

    def do(self, op: str, actor: int | None = None) -> None:
        """Add a step of an operation, if there is anything to do it with."""
        alive = self.scene.alive
        if actor is None:
            actor = 0 if 0 in alive and self.draw.chance(0.85) else self.random.choice(alive or [0])
        step = RULES[op][1](self.draw, actor)
        if step is not None:
            self.take(step, actor)

    # -- threads -------------------------------------------------------------------------------

    def threads(self) -> list[ThreadSpec]:
        """Two to four threads of processes and CPUs.

        In a duel they make one call or two each, on the same things, against each other; in a crowd they
        do this and that.
        """
        self.duel = not self.uniform and self.draw.chance(0.5)
        count = 2 + (self.random.random() < 0.3) + (self.random.random() < 0.1)
        made: list[ThreadSpec] = []
        start = deepcopy(self.scene)
        for number in range(count):
            if self.draw.chance(0.75):
                # All begin at once: what one takes away is still there for the other.
                self.scene.back_to(start)
            if number and self.draw.chance(0.1 if self.duel else 0.15):
                made.append(self.cpu_thread(number))
            else:
                made.append(self.process_thread(number, made))
        return [thread for thread in made if thread.steps]

    def process_thread(self, number: int, before: list[ThreadSpec]) -> ThreadSpec:
        """A thread of a process."""
        alive = self.scene.alive or [0]
        actor = alive[0] if self.draw.chance(0.7) else self.random.choice(alive)
        ops: list[str | Step] = [self.weights.draw(self.random) for _ in range(self.length())]
        others = [thread for thread in before if thread.actor is not None and thread.steps]
        if others and not self.uniform and self.draw.chance(0.9 if self.duel else 0.5):
            ops[0] = self.against(self.random.choice(self.random.choice(others).steps), actor)
        steps: list[Step] = []
        for op in ops:
            step = self.aimed(op, actor, others) if isinstance(op, str) else op
            if isinstance(step, Step):
                steps.append(step)
                self.scene.absorb(step, actor)
        return ThreadSpec(f"t{number}", actor=actor, steps=tuple(steps))

    def aimed(self, op: str, actor: int, others: list[ThreadSpec]) -> Step | None:
        """A step of an operation; in a duel, of a few, the one nearest to what another thread does."""
        tries = AIMS if self.duel and others else 1
        drawn = [step for _ in range(tries) if (step := RULES[op][1](self.draw, actor)) is not None]
        theirs = [step for thread in others for step in thread.steps]
        return max(
            drawn, key=lambda step: max((shared(step, other) for other in theirs), default=0), default=None
        )

    def against(self, step: Step, actor: int) -> str | Step:
        """What another thread does to a step: the same once more, there or elsewhere, or its opposite."""
        if self.draw.chance(0.45):
            opposites = AGAINST.get(step.op, (step.op,))
            return opposites[int(self.random.random() ** 1.5 * len(opposites))]
        if self.draw.chance(0.3) or step.new_actor is not None or step.newfd is not None or step.op == "open":
            return step.op
        kind = self.scene.processes[actor].fds.get(step.fd or "", ("", ""))[0]
        others = [name for name in self.scene.processes[actor].named(kind) if name != step.fd]
        elsewhere = bool(others) and self.draw.chance(0.75)
        twin: Step = structs.replace(step, fd=self.random.choice(others) if elsewhere else step.fd)
        return twin

    def cpu_thread(self, number: int) -> ThreadSpec:
        """A CPU that switches between processes and those who borrow."""
        cpu = self.random.randrange(self.scene.machine.cpus)
        steps = tuple(run_on(self.draw, cpu) for _ in range(1 + self.random.randrange(3)))
        return ThreadSpec(f"t{number}", cpu=cpu, steps=steps)

    def length(self) -> int:
        """How many steps a thread has: mostly few."""
        if self.duel:
            return 1 + (self.random.random() < 0.3)
        return (
            1 + min(self.random.randrange(6), self.random.randrange(6)) + (4 if self.draw.chance(0.04) else 0)
        )

    # -- finally -------------------------------------------------------------------------------

    def finish(self) -> tuple[Step, ...]:
        """The end: mostly everybody exits and the CPUs go idle, so that whatever stays is a leak."""
        if self.draw.chance(0.15):
            return ()
        ends = [Step("exit", actor=actor) for actor in self.scene.processes]
        if self.draw.chance(0.3):
            ends += [Step("run", cpu=cpu, task="idle") for cpu in range(self.scene.machine.cpus)]
        self.random.shuffle(ends)
        return tuple(ends)


def shared(step: Step, other: Step) -> int:
    """How much of what two steps are about is the same: memory, bus addresses, sizes."""
    memory = step.vaddr is not None and other.vaddr is not None and step.vaddr.region == other.vaddr.region
    return 2 * memory + sum(
        mine is not None and mine == theirs
        for mine, theirs in ((step.vaddr, other.vaddr), (step.iova, other.iova), (step.size, other.size))
    )
