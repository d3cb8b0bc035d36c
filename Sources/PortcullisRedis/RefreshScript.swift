public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// The scripts behind refresh tokens. Redis knows every token by its hash only.
///
/// `refresh:<hash>` holds what a token that is still good stands for, and nothing else stands there: other services may ask for it
/// (redis.md). `P:refreshed:<hash>` remembers a token that was used, with the name of its family, for as long as one of the family's
/// access tokens may live; `P:family:<family>` holds the hash of the one token that is good, or `revoked ` and the last that was.
public enum RefreshScript {
    /// The hash that stands for a token in the names of keys.
    public static func hash(_ token: [UInt8]) -> [UInt8] {
        let digest = SHA256.digest(token.span)
        return Hexadecimal.encode(digest.span)
    }

    /// A family's first token. KEYS: refresh, family. ARGV: hash, record, end of the family, end of what is remembered of it (both in
    /// ms since 1970).
    private static let grantText = """
        redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
        redis.call('SET', KEYS[2], ARGV[1], 'PXAT', ARGV[4])
        return 'granted'
        """

    public static func grant(hash: [UInt8], family: Identifier, record: [UInt8], ends: Ends, keys: Keys) -> Command {
        eval(grantText, keys: [keys.refresh(hash), keys.family(family)], [hash, record, ends.family, ends.memory])
    }

    /// One use of a token. KEYS: refresh of the old one and of the new one, refreshed of the old one, family, then refresh and
    /// refreshed of the one that is good, as far as the caller knows. ARGV: hash of the old one, its record as the caller read it, hash
    /// of the new one, its record, hash of the one that is good, the family, its end, the end of what is remembered of it.
    ///
    /// Reply: `{"rotated" | "reused" | "unknown", hash of the last token of the family, ms for which the family is remembered}`.
    ///
    /// Everything is read before anything is written, so that a key of another kind leaves nothing half-done.
    private static let useText = """
        local record, state, used = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[4]), redis.call('GET', KEYS[3])
        if record and record == ARGV[2] and state == ARGV[1] then
          redis.call('DEL', KEYS[1])
          redis.call('SET', KEYS[3], ARGV[6], 'PXAT', ARGV[8])
          redis.call('SET', KEYS[2], ARGV[4], 'PXAT', ARGV[7])
          redis.call('SET', KEYS[4], ARGV[3], 'PXAT', ARGV[8])
          return {'rotated', ARGV[3], '0'}
        end
        local revoked = state and string.sub(state, 1, 8) == 'revoked '
        if used ~= ARGV[6] and not (record and revoked) then return {'unknown', '', '0'} end

        -- A token of this family was used twice: none of it is good any more, from here on.
        local left = redis.call('PTTL', used and KEYS[3] or KEYS[4])
        if left < 1 then return {'unknown', '', '0'} end
        local last = state and string.match(state, '%x+$') or ''
        redis.call('SET', KEYS[4], 'revoked ' .. last, 'PX', left)
        if last == ARGV[5] and redis.call('DEL', KEYS[5]) == 1 then
          redis.call('SET', KEYS[6], ARGV[6], 'PX', left)
        end
        return {'reused', last, tostring(left)}
        """

    /// A token that is used, and what takes its place.
    public struct Use: Sendable {
        public var hash: [UInt8]
        /// What `refresh:<hash>` was read to hold; empty where nothing.
        public var record: [UInt8]
        public var family: Identifier
        /// The hash of the token that is good: of this one, or of another where this one was used before.
        public var live: [UInt8]
        public var newHash: [UInt8]
        public var newRecord: [UInt8]
        public var ends: Ends

        public init(
            hash: [UInt8],
            record: [UInt8],
            family: Identifier,
            live: [UInt8],
            newHash: [UInt8],
            newRecord: [UInt8],
            ends: Ends
        ) {
            self.hash = hash
            self.record = record
            self.family = family
            self.live = live
            self.newHash = newHash
            self.newRecord = newRecord
            self.ends = ends
        }
    }

    public static func use(_ use: Use, keys: Keys) -> Command {
        let names = [
            keys.refresh(use.hash), keys.refresh(use.newHash), keys.refreshed(use.hash), keys.family(use.family),
            keys.refresh(use.live), keys.refreshed(use.live),
        ]
        let arguments = [
            use.hash, use.record, use.newHash, use.newRecord, use.live, use.family.bytes, use.ends.family,
            use.ends.memory,
        ]
        return eval(useText, keys: names, arguments)
    }

    /// When a family ends, and when it is forgotten, in ms since 1970 by Redis' clock, as decimals.
    public struct Ends: Sendable {
        public let family: [UInt8]
        public let memory: [UInt8]

        /// - Parameter accessLife: how long an access token lives that was made at the family's very end.
        public init(family: WallTime, accessLife: Milliseconds) {
            self.family = Array(String(family.milliseconds).utf8)
            self.memory = Array(String((family + accessLife).milliseconds).utf8)
        }
    }

    /// What became of a use.
    public enum Answer: Equatable, Sendable {
        case rotated
        /// Used before: the family is revoked.
        /// - last: the hash of the last token that was good, which must be deleted where the caller did not know it.
        /// - left: for how long an access token of the family may live yet.
        case reused(last: [UInt8], left: Milliseconds)
        case unknown
        case failed(String)

        public init(_ reply: RESPValue) {
            guard let parts = reply.array, parts.count == 3, let last = parts[1].bytes,
                let left = parts[2].text.flatMap({ Int64($0) })
            else {
                self = .failed(reply.errorText ?? "Redis answered the refresh script with something else.")
                return
            }
            switch parts[0].text {
            case "rotated": self = .rotated
            case "reused": self = .reused(last: last, left: Milliseconds(left))
            default: self = .unknown
            }
        }
    }

    private static func eval(_ text: String, keys: [[UInt8]], _ arguments: [[UInt8]]) -> Command {
        Command([Array("EVAL".utf8), Array(text.utf8), Array(String(keys.count).utf8)] + keys + arguments)
    }
}

extension Keys {
    /// A refresh token that is still good. Shared with other services, so without the prefix.
    public func refresh(_ hash: [UInt8]) -> [UInt8] { Array("refresh:".utf8) + hash }
    /// A refresh token that was used.
    public func refreshed(_ hash: [UInt8]) -> [UInt8] { Array((prefix + "refreshed:").utf8) + hash }
    /// All refresh tokens that descend from one grant.
    public func family(_ family: Identifier) -> [UInt8] { Array((prefix + "family:").utf8) + family.bytes }
}
