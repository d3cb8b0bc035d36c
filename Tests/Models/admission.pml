/*
 * Admission (guarantee.md, G3, G6 and "Register, then check"): there is no "verified, then revoked, then registered".
 *
 *   process   models                                                             rule
 *   redis     a decision that covers alice reaches the gate at any moment
 *   uplink    Uplink/Following: the replica first, then every loop's mailbox     2
 *   loop      GateLoop: mail (Enforcement), and between any two steps of it the  1
 *             handshakes of its connections (Handshake.identified, .admit)
 *
 * Every loop has a connection of alice's and one of bob's. Between two steps of a handshake anything may happen on other threads, and mail
 * may be read: a handshake that waits for Redis lets other turns pass. The code checks once more after such a wait; the claim
 * holds without that.
 *
 * Wrong variants, each of which must fail:
 *   CHECK_FIRST     the replica is asked before the connection is registered
 *   TOLD_FIRST      the loops are told before the replica knows
 *   PENDING_UNSEEN  a decision closes live connections only and passes over pending ones
 * REACH_PENDING and REACH_REFUSED are no mistakes: they show that these states are reached at all.
 */

#define LOOPS 2
#define ALICE 0
#define BOB 1

mtype = {HEAD, CHECKED, PENDING, ADMISSIBLE, LIVE, CONDEMNED, REFUSED};

/* A connection's number is its loop's, twice, and its user's. */
#define CONNECTION(loop, user) (2 * (loop) + (user))

mtype state[2 * LOOPS] = HEAD;
#define IN_HANDSHAKE(at) \
    (state[at] == HEAD || state[at] == CHECKED || state[at] == PENDING || state[at] == ADMISSIBLE)
/* The replica: does a decision stand against alice? One a process. */
bool stands = false;
/* What a receipt is made of: the loop has enforced the decision. */
bool enforced[LOOPS];

chan decisions = [1] of {bit};
chan mailbox[LOOPS] = [1] of {bit};

active proctype redis() {
    decisions!1
}

active proctype uplink() {
    byte to;
    decisions?1;
#ifndef TOLD_FIRST
    stands = true;
#endif
    for (to : 0 .. LOOPS - 1) { mailbox[to]!1 }
#ifdef TOLD_FIRST
    stands = true;
#endif
}

/* The verdict of the replica: a load under its lock. */
inline check(to) {
    if
    :: user == ALICE && stands -> state[at] = REFUSED
    :: else -> state[at] = to
    fi
}

/* The next step of one handshake. */
inline advance() {
    if
#ifdef CHECK_FIRST
    :: state[at] == HEAD -> check(CHECKED)
    :: state[at] == CHECKED -> state[at] = ADMISSIBLE
#else
    :: state[at] == HEAD -> state[at] = PENDING
    :: state[at] == PENDING -> check(ADMISSIBLE)
#endif
    :: state[at] == ADMISSIBLE ->
        /* G3: once a gate's receipt is in, that gate refuses. */
        assert(!(user == ALICE && enforced[me]));
        state[at] = LIVE
    fi
}

/* A decision condemns whom it covers and touches nobody else. */
inline enforce() {
    at = CONNECTION(me, ALICE);
    if
    :: state[at] == LIVE -> state[at] = CONDEMNED
#ifndef PENDING_UNSEEN
    :: state[at] == PENDING || state[at] == ADMISSIBLE ->
        state[at] = REFUSED;
#ifdef REACH_PENDING
        assert(false);
#endif
        skip
#endif
    :: else
    fi;
    enforced[me] = true
}

proctype loop(byte me) {
    byte at, user;
end:
    do
    :: atomic { mailbox[me]?1 -> enforce(); at = 0 }
    :: atomic {
        IN_HANDSHAKE(CONNECTION(me, ALICE)) || IN_HANDSHAKE(CONNECTION(me, BOB)) ->
        if
        :: IN_HANDSHAKE(CONNECTION(me, ALICE)) -> user = ALICE
        :: IN_HANDSHAKE(CONNECTION(me, BOB)) -> user = BOB
        fi;
        at = CONNECTION(me, user);
        advance();
        /* G6: whom the decision does not cover is never turned away. */
        assert(state[CONNECTION(me, BOB)] != REFUSED && state[CONNECTION(me, BOB)] != CONDEMNED);
#ifdef REACH_REFUSED
        assert(state[at] != REFUSED);
#endif
        at = 0; user = 0
    }
    od
}

init {
    atomic { run loop(0); run loop(1) }
}

/*
 * Nobody is live for ever once a decision that covers them was applied. Every run comes to rest, so no fairness is asked for (and spin's
 * would not look at runs that do).
 */
ltl closed {
    [] (stands -> <> [] (state[CONNECTION(0, ALICE)] != LIVE && state[CONNECTION(1, ALICE)] != LIVE))
}
