/*
 * The lease (guarantee.md, G2, G4, and rules 3 to 5): no application byte of an affected connection later than t + L after a decision at t
 * that its loop has not seen, whatever is lost or late and wherever the process is paused; the one system call that a loop was already past
 * its check for is outside. (e, in the guarantee, is for rounding and slow clocks; here the clock is whole ticks.)
 *
 *   process   models                                                                            rule
 *   clock     CLOCK_BOOTTIME. It may go on between any two steps of the others: a pause is time that passes there
 *   redis     the append at t; the channel, which may lose the message; answers to XRANGE       3
 *   uplink    Following: the question's time is when it was sent; a late answer's decisions     4
 *             are applied and its vouch is thrown away; the vouch is posted behind the decisions it covers
 *   loop      GateLoop and Lease: mail before clients; each write reads the clock and asks the lease   4, 5
 *
 * A read of a client is what a write is here. One loop: loops share nothing here. Links are TCP: in order, any delay, lost whole.
 *
 * Wrong variants, each of which must fail:
 *   REPLY_TIME   the lease counts from the arrival of the answer
 *   LATE_REPLY   an answer older than L thaws. (It writes nothing by itself, for each write asks; but freeze_limit would begin anew with
 *                every late answer, and readiness would say yes.)
 *   OVERTAKING   the vouch reaches the loop before the decisions that it covers
 *   TIMER_ONLY   a timer freezes the loop at the end of a turn, writes look at that alone
 *   TURN_CLOCK   the clock is read once a turn, not for each write
 * REACH_LATE and REACH_THAW are no mistakes: they show that the one late system call and a thaw are reached at all.
 */

#define L 2
#define END 6
#define WRITES 2
#define NEVER 255

mtype = {DECIDED, VOUCHED};

byte now = L;
/* When Redis acknowledged the append. */
byte t = NEVER;
#define APPENDED (t != NEVER)

chan question = [1] of {byte};
chan answer = [1] of {byte, bool};
chan events = [1] of {bit};
chan mailbox = [3] of {mtype, byte};

active proctype clock() {
    do
    :: now < END -> now++
    :: now == END -> break
    od
}

active proctype redis() {
    byte sent;
end:
    do
    :: atomic {
        !APPENDED -> t = now;
        if
        :: events!1
        :: true /* lost */
        fi
    }
    :: atomic { question?sent -> answer!sent, APPENDED; sent = 0 }
    od
}

inline tell() {
    if
    :: !told -> told = true; mailbox!DECIDED, 0
    :: else
    fi
}

/* A pause between the look at the clock and the posting is one in which the message lies in the mailbox. */
inline vouch() {
    if
    :: atomic {
        now - sent < L ->
#ifdef REPLY_TIME
        mailbox!VOUCHED, now
#else
        mailbox!VOUCHED, sent
#endif
    }
#ifdef LATE_REPLY
    :: atomic { now - sent >= L -> mailbox!VOUCHED, sent }
#else
    :: now - sent >= L
#endif
    fi
}

/* Lease.renew, and the thaw. */
inline renew() {
    if
#ifdef LATE_REPLY
    :: true ->
#else
    :: turn - sent >= L
    :: turn - sent < L ->
#endif
        if
        :: sent > vouched -> vouched = sent
        :: else
        fi;
        if
        :: frozen ->
            /* G4: nothing but a view that was whole within L thaws. */
            assert(condemned || !(APPENDED && turn >= t + L));
#ifdef REACH_THAW
            assert(false);
#endif
            frozen = false
        :: else
        fi
    fi
}

#ifdef TURN_CLOCK
#define CLOCK_READ turn
#else
#define CLOCK_READ now
#endif

/* One system call, behind its check: a pause before it is outside the guarantee for this one. */
inline write() {
    atomic {
        if
        :: APPENDED && now >= t + L ->
            late++;
            assert(late <= 1);
#ifdef REACH_LATE
            assert(false);
#endif
        :: else
        fi
    }
}

active proctype uplink() {
    byte sent;
    bool asked, holds, told;
end:
    do
    /* The clock is read before the question goes out. */
    :: !asked -> atomic { asked = true; sent = now }; question!sent
    :: events?1 -> tell()
    :: answer?sent, holds ->
#ifdef OVERTAKING
        vouch();
#endif
        /* Catching up does not wait for thawing. */
        if
        :: holds -> tell()
        :: else
        fi;
#ifndef OVERTAKING
        vouch();
#endif
        atomic { asked = false; sent = 0; holds = false }
    /* The link is lost with what was on its way. */
    :: atomic { question?[_] -> question?_; asked = false; sent = 0 }
    :: atomic { answer?[_, _] -> answer?_, _; asked = false; sent = 0 }
    od
}

active proctype loop() {
    /* The lease of a vouch before the beginning: over. */
    byte vouched = 0;
    bool frozen = true, condemned;
    byte turn, sent, writes, late;
end:
    do
    :: turn = now;
        /* All mail, before any client. */
        do
        :: atomic { mailbox?DECIDED, _ -> condemned = true }
        :: atomic { mailbox?VOUCHED, sent -> renew(); sent = 0 }
        :: empty(mailbox) -> break
        od;
        do
        :: writes < WRITES && !condemned && !frozen ->
            writes++;
            if
#ifndef TIMER_ONLY
            :: CLOCK_READ - vouched >= L -> frozen = true
            :: CLOCK_READ - vouched < L -> write()
#else
            :: true -> write()
#endif
            fi
        :: atomic { true -> writes = 0; turn = 0; break }
        od;
        /* The timer, at the end of a turn. */
        if
        :: now - vouched >= L -> frozen = true
        :: now - vouched < L
        fi
    od
}
