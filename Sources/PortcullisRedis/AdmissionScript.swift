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

    /// What both scripts begin with, and their first five arguments. Whose gate holds no lease any more has no place.
    private static let preamble = """
        if redis.replicate_commands then redis.replicate_commands() end
        local user, cap, replaces, member = KEYS[1], tonumber(ARGV[1]), ARGV[2] == 'replace', ARGV[3]
        local members, names = redis.call('ZRANGE', user, 0, -1), {}
        local function holder(other)
          local instance = string.match(other, '^(%x+)/') or ''
          if names[instance] == nil then names[instance] = redis.call('GET', ARGV[4] .. instance) end
          return names[instance]
        end
        local function enter(score)
          redis.call('ZADD', user, score, member)
          redis.call('PEXPIRE', user, ARGV[5])
          return 'admitted'
        end

        """

    private static func question(
        _ script: String,
        _ user: Identifier,
        _ connection: ConnectionID,
        cap: Int,
        policy: Policy,
        of gate: Gate,
        longest: Milliseconds,
        keys: Keys,
        further: [[UInt8]]
    ) -> Command {
        let first: [[UInt8]] = [
            Array("EVAL".utf8), Array(script.utf8), Array("2".utf8), keys.connections(of: user),
            Array(keys.instance(gate.instance).utf8), Array(String(max(1, cap)).utf8), Array(policy.rawValue.utf8),
            member(connection, of: gate), Array(keys.instancePrefix.utf8), Array(String(max(1, longest.count)).utf8),
        ]
        return Command(first + further)
    }

    /// Everything of a user in one step, so that no two handshakes take the last place.
    static let text =
        preamble + """
            redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[7])
            local held = {}
            for _, other in ipairs(members) do
              local name = holder(other)
              if not name then
                redis.call('ZREM', user, other)
              elseif other ~= member then
                held[#held + 1] = {other, name}
              end
            end
            if #held >= cap and not replaces then return 'full' end
            for index = 1, #held - cap + 1 do
              local other, name = held[index][1], held[index][2]
              redis.call('ZREM', user, other)
              local connection = string.match(other, '/(%x+)$') or ''
              redis.call('PUBLISH', ARGV[8] .. name, '{"v":1,"replaced":"' .. connection .. '"}')
            end
            local time = redis.call('TIME')
            local score = tonumber(time[1]) * 1000000 + tonumber(time[2])
            local last = redis.call('ZRANGE', user, -1, -1, 'WITHSCORES')[2]
            if last then score = math.max(score, tonumber(last) + 1) end
            return enter(string.format('%.0f', score))
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
        question(
            text,
            user,
            connection,
            cap: cap,
            policy: policy,
            of: gate,
            longest: longest,
            keys: keys,
            further: [Array(gate.node.utf8), Array(String(gate.life.count).utf8), Array(keys.control("").utf8)]
        )
    }

    /// The connection is gone; as often as one likes.
    public static func release(_ user: Identifier, _ connection: ConnectionID, of gate: Gate, keys: Keys) -> Command {
        Command([Array("ZREM".utf8), keys.connections(of: user), member(connection, of: gate)])
    }

    /// What is held is counted only where the oldest makes room: there a place may have been taken without the gate having heard of it.
    static let restoring =
        preamble + """
            local held = 0
            for _, other in ipairs(members) do
              if other == member then return 'admitted' end
              if holder(other) then held = held + 1 end
            end
            if replaces and held >= cap then return 'full' end
            return enter(ARGV[6])
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
        return question(
            restoring,
            user,
            connection,
            cap: cap,
            policy: policy,
            of: gate,
            longest: longest,
            keys: keys,
            further: [Array(score.utf8)]
        )
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
