import PortcullisCore
import PortcullisReactor
import PortcullisRedis
import PortcullisWire

/// Sessions are read and renewed.
extension Uplink {
    /// A session is in use. Redis tells of the change, as of any other, and it is read again.
    func touchSession(_ id: Identifier, least: Milliseconds?) {
        guard command.machine.isReady, pending.count < Self.mostQuestions,
            let key = sessions?.key.key(id)
        else { return }
        pending.append(Scripts.touch(key: key, life: keys.life(key), least: least), .touch)
    }

    /// Reads a session that is held, so that its connections learn what it says now.
    func readSession(_ id: Identifier) {
        guard command.machine.isReady else { return }
        readSession(id) { .watchedSession($0) }
    }

    /// Reads under tracking: Redis itself tells when the key is changed, by whatever program.
    func readSession(_ id: Identifier, _ ask: (SessionRead) -> Ask) {
        guard let sessions else { return }
        let key = sessions.key.parts(id)
        if sessions.key.isHashed, !sessionKeys.note(key.id, id) { sessionsUncertain() }
        let read = SessionRead(id: id, sentAt: now, stamp: knownSessions.asked())
        pending.append(sessions.reading, key, .tracking, ask(read))
    }

    /// What is known of sessions may be wrong by now, in part: all are read again.
    func sessionsUncertain() {
        knownSessions.forgetAll()
        shared.tellAll(.sessionsUncertain)
    }

    /// An answer to a read of a session.
    func sessionAnswered(_ read: SessionRead, _ reply: RESPReply) -> SessionState {
        let state = session(reply)
        knownSessions.answered(read.id, read.stamp, state, sentAt: read.sentAt, now: now, wall: loop.wall)
        return state
    }

    /// A handshake's session was read. Where its key was forgotten meanwhile, a change of it may have gone unseen: it is read again, and
    /// what is told then comes behind this answer.
    func sessionRead(_ read: SessionRead, _ reply: RESPReply, _ stream: StreamID, loop: Int) {
        tell(loop, .answered(stream, .session(sessionAnswered(read, reply), asOf: read.sentAt)))
        guard let key = sessions?.key, key.isHashed, sessionKeys[key.key(read.id)] == nil else { return }
        readSession(read.id)
    }
}
