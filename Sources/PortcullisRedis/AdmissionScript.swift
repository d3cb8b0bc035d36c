public import PortcullisCore

/// The connections that a user has on all gates (redis.md, *Gates, presence, rooms, caps*): `P:user:<user>`, a sorted set of
/// `<instance>/<connection>` by the time of admission, kept only where `limits.connections_per_user` is set.
///
/// Each gate holds a lease, `P:inst:<instance>`, whose value is the gate's name. The members of a gate without a lease count no more.
public enum AdmissionScript {
    /// What happens where a user has as many connections as may be (`limits.per_user_policy`).
    public enum Policy: String, CaseIterable, Sendable {
        /// The new one is refused.
        case refuse
        /// The oldest makes room.
        case replace
    }

    /// Whose place it is, and who holds it.
    public struct Gate: Equatable, Sendable {
        /// The gate's name.
        public let node: String
        /// Its random number of this run.
        public let instance: UInt32
        /// How long its members count without a sign of life of it.
        public let life: Milliseconds

        public init(node: String, instance: UInt32, lease: Milliseconds) {
            self.node = node
            self.instance = instance
            life = Milliseconds(max(1, lease.count.multipliedClamped(by: 2)))
        }
    }

    public enum Answer: Equatable, Sendable {
        case admitted
        case full

        public init?(_ reply: RESPValue) {
            switch reply.text {
            case "admitted": self = .admitted
            case "full": self = .full
            default: return nil
            }
        }
    }

    /// Everything of a user in one step, so that no two handshakes take the last place.
    static let text = """
        if redis.replicate_commands then redis.replicate_commands() end
        local user, cap, member = KEYS[1], tonumber(ARGV[1]), ARGV[3]
        redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
        local names, held = {}, {}
        for _, other in ipairs(redis.call('ZRANGE', user, 0, -1)) do
          local instance = string.match(other, '^(%x+)/') or ''
          if names[instance] == nil then names[instance] = redis.call('GET', ARGV[6] .. instance) end
          if not names[instance] then
            redis.call('ZREM', user, other)
          elseif other ~= member then
            held[#held + 1] = {other, names[instance]}
          end
        end
        if #held >= cap and ARGV[2] ~= 'replace' then return 'full' end
        for index = 1, #held - cap + 1 do
          local other, name = held[index][1], held[index][2]
          redis.call('ZREM', user, other)
          local connection = string.match(other, '/(%x+)$') or ''
          redis.call('PUBLISH', ARGV[7] .. name, '{"v":1,"replaced":"' .. connection .. '"}')
        end
        local time = redis.call('TIME')
        local score = tonumber(time[1]) * 1000000 + tonumber(time[2])
        local last = redis.call('ZRANGE', user, -1, -1, 'WITHSCORES')[2]
        if last then score = math.max(score, tonumber(last) + 1) end
        redis.call('ZADD', user, string.format('%.0f', score), member)
        redis.call('PEXPIRE', user, ARGV[8])
        return 'admitted'
        """

    /// Asks for a place; what it answers reads ``Answer``.
    /// - Parameters:
    ///   - cap: how many connections a user may have; more than 0.
    ///   - longest: how long a user's connections are remembered where no other of theirs is admitted.
    public static func admit(
        _ user: Identifier,
        _ connection: ConnectionID,
        cap: Int,
        policy: Policy,
        of gate: Gate,
        longest: Milliseconds,
        keys: Keys
    ) -> Command {
        let words: [[UInt8]] = [
            Array("EVAL".utf8), Array(text.utf8), Array("2".utf8), keys.connections(of: user),
            Array(keys.instance(gate.instance).utf8), Array(String(max(1, cap)).utf8), Array(policy.rawValue.utf8),
            member(connection, of: gate), Array(gate.node.utf8), Array(String(gate.life.count).utf8),
            Array(keys.instancePrefix.utf8), Array(keys.control("").utf8),
            Array(String(max(1, longest.count)).utf8),
        ]
        return Command(words)
    }

    /// The connection is gone; as often as one likes.
    public static func release(_ user: Identifier, _ connection: ConnectionID, of gate: Gate, keys: Keys) -> Command {
        Command([Array("ZREM".utf8), keys.connections(of: user), member(connection, of: gate)])
    }

    /// What is held is counted only where the oldest makes room: there a place may have been taken without the gate having heard of it.
    static let restoring = """
        if redis.replicate_commands then redis.replicate_commands() end
        local user, cap, member, names, held = KEYS[1], tonumber(ARGV[1]), ARGV[3], {}, 0
        for _, other in ipairs(redis.call('ZRANGE', user, 0, -1)) do
          if other == member then return 'admitted' end
          local instance = string.match(other, '^(%x+)/') or ''
          if names[instance] == nil then names[instance] = redis.call('GET', ARGV[5] .. instance) end
          if names[instance] then held = held + 1 end
        end
        if ARGV[2] == 'replace' and held >= cap then return 'full' end
        redis.call('ZADD', user, ARGV[4], member)
        redis.call('PEXPIRE', user, ARGV[6])
        return 'admitted'
        """

    /// Puts a live connection back that Redis has lost. It was admitted: where new ones are refused it has its place whatever the cap is;
    /// where the oldest makes room it is ``Answer/full`` that it has been replaced, and the message was lost.
    /// - Parameter admitted: when, as far as it is known, by Redis' clock.
    public static func restore(
        _ user: Identifier,
        _ connection: ConnectionID,
        admitted: WallTime,
        cap: Int,
        policy: Policy,
        of gate: Gate,
        longest: Milliseconds,
        keys: Keys
    ) -> Command {
        let score = String(admitted.milliseconds.multipliedClamped(by: 1000))
        let words: [[UInt8]] = [
            Array("EVAL".utf8), Array(restoring.utf8), Array("1".utf8), keys.connections(of: user),
            Array(String(max(1, cap)).utf8), Array(policy.rawValue.utf8), member(connection, of: gate),
            Array(score.utf8), Array(keys.instancePrefix.utf8), Array(String(max(1, longest.count)).utf8),
        ]
        return Command(words)
    }

    /// The gate lives, and so its connections count.
    public static func renew(_ gate: Gate, keys: Keys) -> Command {
        Command("SET", keys.instance(gate.instance), gate.node, "PX", String(gate.life.count))
    }

    /// The gate ends in order: its connections count no more.
    public static func end(_ gate: Gate, keys: Keys) -> Command {
        Command("DEL", keys.instance(gate.instance))
    }

    static func member(_ connection: ConnectionID, of gate: Gate) -> [UInt8] {
        Array("\(String(gate.instance, radix: 16))/\(connection)".utf8)
    }
}
