public import PortcullisCore
public import PortcullisCrypto
public import PortcullisWire

/// The key that events are signed with (redis.md, *Signed events*): HMAC-SHA-256 over the canonical text (RFC 8785) of the event without its
/// member `sig`, in base64url without padding. Used by one thread at a time.
public final class EventKey {
    private let context: HMACContext

    public init(_ key: HMACKey) {
        context = HMACContext(key)
    }

    /// How far ahead of Redis' time an event may say it was made.
    private static let ahead = Milliseconds.seconds(60)

    /// What signatures are held against now.
    /// - Parameters:
    ///   - now: Redis' time.
    ///   - retention: how long ago an event may have been made; nil: as long as it will.
    public func trust(now: WallTime, retention: Milliseconds?) -> EventTrust {
        let earliest = retention.map { now.milliseconds.subtractingClamped($0.count) }
        let times = earliest.map { WallTime(milliseconds: min($0, now.milliseconds))...(now + Self.ahead) }
        return EventTrust(times: times) { [context] text, signature in
            context.isValid(signature.span, of: text.span)
        }
    }

    /// The event with its signature as the last member.
    /// - Parameter json: an object with `event` and `at_ms`, and without `sig`.
    /// - Throws: where it is no such object.
    public func sign(_ json: [UInt8]) throws(EventRejection) -> [UInt8] {
        var parser = StrictJSON(maximumDepth: 32)
        do throws(JSONError) {
            try parser.parse(json.span)
        } catch {
            throw .notJSON(error)
        }
        guard parser.kind(of: 0) == .object, json.last == UInt8(ascii: "}") else { throw .notAnObject }
        guard parser.member("event", in: json.span) != nil, parser.member("at_ms", in: json.span) != nil,
            parser.member("sig", in: json.span) == nil
        else { throw .unsigned }
        guard let text = CanonicalJSON.encode(parser, in: json) else { throw .badField("data") }
        let signature = context.sign(text.span)
        return json.dropLast() + Array(#","sig":""#.utf8) + Base64.encodeURLSafe(signature.span) + Array(#""}"#.utf8)
    }
}
