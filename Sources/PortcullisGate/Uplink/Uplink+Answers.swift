import PortcullisCore
import PortcullisRedis
import PortcullisWire

/// What Redis answered to the questions of handshakes and about sessions.
extension Uplink {
    /// A value that cannot be read ends a session; a Redis that is loading or out of memory says nothing about it, and is asked again.
    func watchedSessionRead(_ read: SessionRead, _ reply: RESPReply) {
        let (id, sentAt, state) = (read.id, read.sentAt, sessionAnswered(read, reply))
        // Redis 6 says in front that a script failed.
        if let error = reply.errorText, !error.contains("WRONGTYPE ") {
            if sessionsFailing[id] != nil { return }
            guard sessionsFailing.count < Self.mostSessionsFailing else { return shared.tellAll(.sessionUnproved(id)) }
            sessionsFailing[id] = sentAt
        } else {
            if !sessionsFailing.isEmpty { sessionsFailing[id] = nil }
            shared.tellAll(.sessionChanged(id, state, askedAt: sentAt))
        }
    }

    /// Once a heartbeat: what could not be read is asked again; what could not be read for the length of the lease counts no more.
    func tendFailingSessions() {
        guard !sessionsFailing.isEmpty else { return }
        for (id, since) in sessionsFailing where now.since(since) >= configuration.lease {
            sessionsFailing[id] = nil
            shared.tellAll(.sessionUnproved(id))
        }
        if sessionsToRead.isEmpty { sessionsToRead = Array(sessionsFailing.keys) }
    }

    /// A slice of them a turn.
    func readFailingSessions() {
        guard !sessionsToRead.isEmpty else { return }
        for id in sessionsToRead.suffix(Self.sessionsAtOnce) { readSession(id) }
        sessionsToRead.removeLast(min(Self.sessionsAtOnce, sessionsToRead.count))
    }

    private static let sessionsAtOnce = 64

    /// Value and time to live, by turns.
    func session(_ reply: RESPReply) -> SessionState {
        if let text = reply.errorText { return .unreadable("Redis answered: \(text.prefix(80))") }
        if reply.list(at: 0) == 2, let ttl = reply.integer(at: reply.end(of: 1)) {
            // No hash is empty: an absent one reads so.
            if reply.isNull(at: 1) || reply.list(at: 1) == 0 { return .absent }
            if let stored = StoredSession(reply, at: 1) {
                return .present(stored, expires: ttl < 0 ? nil : loop.wall + Milliseconds(ttl))
            }
        }
        lost(.command, "Redis answered a question with what does not fit it.")
        return .unreadable("the answer does not fit the question")
    }

    func touched(_ value: RESPValue) {
        guard let error = value.errorText, !hasToldOfTouch else { return }
        hasToldOfTouch = true
        shared.report(.sessionsNotRenewed(String(error.prefix(80))))
    }

    func time(_ value: RESPValue) -> Answer {
        guard value.errorText == nil, let text = value.text else { return unfit(value) }
        // Somebody else wrote the key: that concerns the one session, not the link.
        guard let milliseconds = Int64(text) else {
            return .unavailable("the time when the session was first seen is no number")
        }
        return .firstSeen(WallTime(milliseconds: milliseconds))
    }

    func check(_ value: RESPValue) -> Answer {
        TokenCheck.Answer(value).map { .token($0) } ?? unfit(value)
    }

    /// An error concerns the one that asked; an answer that does not fit its question, the whole link.
    func unfit(_ value: RESPValue) -> Answer {
        if let text = value.errorText { return .unavailable("Redis answered: \(text.prefix(80))") }
        lost(.command, "Redis answered a question with what does not fit it.")
        return .unavailable("the answer does not fit the question")
    }

    /// An answer that is a string or nothing.
    func text(_ value: RESPValue, _ answer: ([UInt8]?) -> Answer) -> Answer {
        switch value {
        case .null: return answer(nil)
        case .bytes(let bytes): return answer(bytes)
        default: return unfit(value)
        }
    }
}

extension StoredSession {
    /// nil where the value is neither a string nor a list of strings.
    fileprivate init?(_ reply: RESPReply, at place: Int) {
        let bytes = reply.bytes
        if let range = reply.string(at: place) {
            self = .string(bytes.span.copy(range))
        } else if let count = reply.list(at: place) {
            var fields: [[UInt8]] = []
            fields.reserveCapacity(count)
            for field in place + 1..<place + 1 + count {
                guard let range = reply.string(at: field) else { return nil }
                fields.append(bytes.span.copy(range))
            }
            self = .hash(fields)
        } else {
            return nil
        }
    }
}

extension RESPValue {
    /// What kind of value it is, for a log line that must not hold the value.
    var kind: String {
        switch self {
        case .null: "nil"
        case .status: "a status"
        case .error: "an error"
        case .integer: "an integer"
        case .bytes: "a string"
        case .array: "an array"
        }
    }
}
