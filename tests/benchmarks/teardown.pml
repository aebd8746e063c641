/* Register, unregister and teardown under one lock: the model of tests/benchmarks/peers.py.
 * N of each; every access is a step of its own, as there. */

#ifndef N
#define N 1
#endif

bool locked = false;
bool closed = false;
byte listed = 0;
byte used = 0;

inline lock()   { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

proctype register()
{
	lock();
	if
	:: !closed -> listed = listed + 1; used = used + 1
	:: else
	fi;
	unlock()
}

proctype unregister()
{
	lock();
	if
	:: used > 0 -> used = used - 1; listed = listed - 1
	:: else
	fi;
	unlock()
}

proctype teardown()
{
	lock();
	closed = true;
	listed = 0;
	used = 0;
	unlock()
}

init {
	byte i;
	atomic {
		for (i : 1 .. N) { run register(); run unregister(); run teardown() }
	}
	_nr_pr == 1;
	assert(used == 0 && listed == 0)
}
