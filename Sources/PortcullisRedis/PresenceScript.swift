public import PortcullisCore

/// Who is in a room, over all gates (redis.md, *Gates, presence, rooms, caps*), kept only where `resources.presence` is set:
/// `P:members:<resource>`, a hash of `<instance>/<connection>` → user.
///
/// Beside it stand, so that neither coming nor going costs a walk over the room, `P:present:<resource>` (user → how many connections) and
/// `P:hosts:<resource>` (instance → how many). The connections of a gate whose lease `P:inst:<instance>` is gone are dropped. Each script
/// is one step, and tells the room's channel who came, who had no connection there before, and who went, who has none left.
public enum PresenceScript {
    /// The most names that are told of a room: of one with more of them, some.
    public static let mostNames = 1000
    /// How long a room is remembered that nobody enters and no gate looks after.
    static let life = Milliseconds.seconds(86_400)

    public typealias Gate = AdmissionScript.Gate

    /// Which room, and what is said there of whom.
    public struct Room: Equatable, Sendable {
        public let resource: Identifier
        /// Up to where in the log the gate knows (``RoomMessage/at``).
        public let at: LogPosition

        public init(_ resource: Identifier, at: LogPosition) {
            self.resource = resource
            self.at = at
        }
    }

    private static let shared = """
        if redis.replicate_commands then redis.replicate_commands() end
        local members, present, hosts = KEYS[1], KEYS[2], KEYS[3]
        local function say(kind, connection, user)
          redis.call('PUBLISH', ARGV[1], '{"v":1,"node":' .. cjson.encode(ARGV[2])
            .. ',"connection":"' .. connection .. '","user":' .. cjson.encode(user)
            .. ',"kind":"' .. kind .. '","at":"' .. ARGV[3] .. '"}')
        end
        local function count(key, name, by)
          local number = (tonumber(redis.call('HGET', key, name) or '0') or 0) + by
          if number > 0 then
            redis.call('HSET', key, name, string.format('%.0f', number))
          else
            redis.call('HDEL', key, name)
          end
          return number
        end
        local function parts(field)
          local instance, connection = string.match(field, '^(%x+)/(%x+)$')
          return instance or '', connection or ''
        end
        local function drop(field, user)
          local instance, connection = parts(field)
          redis.call('HDEL', members, field)
          count(hosts, instance, -1)
          if count(present, user, -1) <= 0 then say('left', connection, user) end
        end
        """

    /// Renews the gate's own lease first: nobody drops what it says it holds. Of a large gate that is gone a slice is dropped at a time: Redis
    /// does nothing else meanwhile.
    private static let care = """
        redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[4])
        if redis.call('EXISTS', members) == 0 then
          redis.call('DEL', present, hosts)
        else
          local dead, areDead = {}, false
          local list = redis.call('HGETALL', hosts)
          for at = 1, #list, 2 do
            if redis.call('EXISTS', ARGV[5] .. list[at]) == 0 then dead[list[at]], areDead = true, true end
          end
          if areDead then
            list = redis.call('HGETALL', members)
            local slice = 256
            for at = 1, #list, 2 do
              if dead[parts(list[at])] then
                drop(list[at], list[at + 1])
                slice = slice - 1
                if slice == 0 then break end
              end
            end
            if slice > 0 then
              for instance in pairs(dead) do redis.call('HDEL', hosts, instance) end
            end
          end
        end
        """

    private static let renewal = """
        for at = 1, 3 do redis.call('PEXPIRE', KEYS[at], ARGV[6]) end
        """

    private static let entering = """
        local field, user = ARGV[7], ARGV[8]
        local instance, connection = parts(field)
        local had = redis.call('HGET', members, field)
        if had ~= user then
          if had then drop(field, had) end
          redis.call('HSET', members, field, user)
          count(hosts, instance, 1)
          if count(present, user, 1) == 1 and ARGV[9] == '' then say('joined', connection, user) end
        end
        """

    /// All in one, where they are not too many: no step in Lua for each. Names that stand twice in the steps of a scan are told once.
    private static let listing = """
        local most, names, seen, cursor = tonumber(ARGV[10]), {}, {}, '0'
        if most > 0 and redis.call('HLEN', present) <= most then return redis.call('HKEYS', present) end
        while most > 0 do
          local step = redis.call('HSCAN', present, cursor, 'COUNT', most)
          for at = 1, #step[2], 2 do
            local name = step[2][at]
            if #names < most and not seen[name] then names[#names + 1], seen[name] = name, true end
          end
          cursor = step[1]
          if cursor == '0' or #names >= most then break end
        end
        return names
        """

    /// One that Redis has lost, or that was dropped with the gate's lease, is told of all the same: somebody may believe that it is there.
    private static let leaving = """
        local user = redis.call('HGET', members, ARGV[4])
        if user then
          drop(ARGV[4], user)
        elseif not redis.call('HGET', present, ARGV[5]) then
          local _, connection = parts(ARGV[4])
          say('left', connection, ARGV[5])
        end
        return 'left'
        """

    static let enter = [shared, care, entering, renewal, listing].joined(separator: "\n")
    static let leave = [shared, leaving].joined(separator: "\n")
    static let prune = [shared, care, renewal, "return 'pruned'"].joined(separator: "\n")

    /// A connection is in a room; as often as one likes. What it answers reads ``names(_:)``.
    /// - Parameters:
    ///   - names: how many names are to be told, at most ``mostNames``; 0: none.
    ///   - quietly: whether the room is told nothing: others know it.
    public static func enter(
        _ room: Room,
        _ user: Identifier,
        _ connection: ConnectionID,
        names: Int,
        quietly: Bool,
        of gate: Gate,
        keys: Keys
    ) -> Command {
        let words: [[UInt8]] = [
            AdmissionScript.member(connection, of: gate), user.bytes, Array((quietly ? "quietly" : "").utf8),
            Array(String(min(max(0, names), mostNames)).utf8),
        ]
        return Command(head(enter, room, of: gate, keys: keys) + words)
    }

    /// A connection is in a room no more; as often as one likes.
    public static func leave(
        _ room: Room,
        _ user: Identifier,
        _ connection: ConnectionID,
        of gate: Gate,
        keys: Keys
    ) -> Command {
        let words: [[UInt8]] = [
            Array("EVAL".utf8), Array(leave.utf8), Array("3".utf8), keys.members(room.resource),
            keys.present(room.resource), keys.hosts(room.resource), keys.room(room.resource), Array(gate.node.utf8),
            Array(room.at.description.utf8), AdmissionScript.member(connection, of: gate), user.bytes,
        ]
        return Command(words)
    }

    /// Drops the connections of gates that are gone, and keeps the room from being forgotten.
    public static func prune(_ room: Room, of gate: Gate, keys: Keys) -> Command {
        Command(head(prune, room, of: gate, keys: keys))
    }

    private static func head(_ text: String, _ room: Room, of gate: Gate, keys: Keys) -> [[UInt8]] {
        let resource = room.resource
        return [
            Array("EVAL".utf8), Array(text.utf8), Array("4".utf8), keys.members(resource), keys.present(resource),
            keys.hosts(resource), Array(keys.instance(gate.instance).utf8), keys.room(resource), Array(gate.node.utf8),
            Array(room.at.description.utf8), Array(String(gate.life.count).utf8), Array(keys.instancePrefix.utf8),
            Array(String(life.count).utf8),
        ]
    }

    /// Who is in the room, from the answer to ``enter(_:_:_:names:quietly:of:keys:)``; nil where it is none.
    public static func names(_ reply: RESPValue) -> [Identifier]? {
        guard let parts = reply.array else { return nil }
        let names = parts.compactMap { $0.bytes.map { Identifier(bytes: $0) } }
        return names.count == parts.count ? names : nil
    }
}
