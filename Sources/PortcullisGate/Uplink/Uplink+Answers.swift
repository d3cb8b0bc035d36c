import PortcullisCore
import PortcullisRedis
import PortcullisWire

/// What Redis answered to the questions of handshakes and about sessions.
extension Uplink {
    /// A value that cannot be read ends a session; a Redis that is loading or out of memory says nothing about it, and is asked again.
    func watchedSessionRead(_ read: SessionRead, _ value: RESPValue) {
        let (id, sentAt, state) = (read.id, read.sentAt, sessionAnswered(read, value))
        // Redis 6 says in front that a script failed.
        if let error = value.errorText, !error.contains("WRONGTYPE ") {
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
        for id in sessionsToRead.suffix(Self.sessionsAtOnce) { readSession(id) }
        sessionsToRead.removeLast(min(Self.sessionsAtOnce, sessionsToRead.count))
    }

    private static let sessionsAtOnce = 64

    func session(_ value: RESPValue) -> SessionState {
        switch value {
        case .array(let parts):
            guard parts.count == 2, let ttl = parts[1].integer else { break }
            if parts[0] == .null { return .absent }
            guard let stored = StoredSession(parts[0]) else { break }
            // No hash is empty: an absent one reads so.
            if stored == .hash([]) { return .absent }
            return .present(stored, expires: ttl < 0 ? nil : loop.wall + Milliseconds(ttl))
        case .error(let text): return .unreadable("Redis answered: \(text.prefix(80))")
        default: break
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
    fileprivate init?(_ value: RESPValue) {
        switch value {
        case .bytes(let bytes): self = .string(bytes)
        case .array(let parts):
            let fields = parts.compactMap(\.bytes)
            guard fields.count == parts.count else { return nil }
            self = .hash(fields)
        default: return nil
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
