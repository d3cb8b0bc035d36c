public import PortcullisCore

/// The small scripts of a gate beside the one that appends.
public enum Scripts {
    /// The value and the time to live of one session in one command, so that both are of the same moment and one `CLIENT CACHING YES`
    /// tracks the key.
    /// - Parameter isHash: whether the session is a hash; else it is a string.
    public static func readSession(key: [UInt8], isHash: Bool = false) -> Command {
        Command([Array("EVAL".utf8), Array(readSession(isHash).utf8), Array("1".utf8), key])
    }

    static func readSession(_ isHash: Bool) -> String {
        "return {redis.call('\(isHash ? "HGETALL" : "GET")', KEYS[1]), redis.call('PTTL', KEYS[1])}"
    }

    /// Makes a session that is a hash together with its time to live, so that none is left that never ends.
    /// - Parameter fields: names and values by turns; more than none.
    public static func createSession(key: [UInt8], fields: [[UInt8]], life: Milliseconds) -> Command {
        let text = """
            redis.call('DEL', KEYS[1])
            redis.call('HSET', KEYS[1], unpack(ARGV, 2))
            return redis.call('PEXPIRE', KEYS[1], ARGV[1])
            """
        return Command(
            [Array("EVAL".utf8), Array(text.utf8), Array("1".utf8), key, Array(String(life.count).utf8)] + fields
        )
    }

    /// Defines `slide(key, life, least)`: gives a key that is there the longest time to live that it was ever seen with, which stands under
    /// `life`, or `least` ms where that is more. A key that has no end keeps none.
    static let slide = """
        local function slide(key, life, least)
          local left = redis.call('PTTL', key)
          if left <= 0 then return end
          local whole = math.max(left, least, tonumber(redis.call('GET', life) or '0') or 0)
          local text = string.format('%.0f', whole)
          redis.call('SET', life, text, 'PX', text)
          redis.call('PEXPIRE', key, text)
        end
        """

    /// Renews the time to live of a session that is in use.
    /// - Parameter least: how long it lives from one use to the next, where that is known.
    public static func touch(key: [UInt8], life: [UInt8], least: Milliseconds?) -> Command {
        let text = slide + "\nslide(KEYS[1], KEYS[2], tonumber(ARGV[1]))"
        return Command([
            Array("EVAL".utf8), Array(text.utf8), Array("2".utf8), key, life, Array(String(least?.count ?? 0).utf8),
        ])
    }

    /// When a session was seen first, in ms of Redis' time: now, where it was never seen.
    ///
    /// It is kept as long as a decision against it can stand, and as long as the session itself: forgotten earlier, a session that goes on
    /// living would seem to be newer than what was decided against it.
    public static func firstSeen(key: [UInt8], left: Milliseconds?, longest: Milliseconds) -> Command {
        let text = """
            local time = redis.call('TIME')
            local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
            if redis.replicate_commands then redis.replicate_commands() end
            redis.call('SET', KEYS[1], now, 'NX', 'PX', ARGV[1])
            if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
            return redis.call('GET', KEYS[1])
            """
        let life = max(left ?? longest, longest, Milliseconds(1))
        return Command([Array("EVAL".utf8), Array(text.utf8), Array("1".utf8), key, Array(String(life.count).utf8)])
    }

    /// A gate says that it lives: its score among the gates and what it says of itself. Answers Redis' time in ms.
    public static func heartbeat(nodes: String, node: String, name: String, fields: [(String, String)]) -> Command {
        let text = """
            local time = redis.call('TIME')
            local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
            if redis.replicate_commands then redis.replicate_commands() end
            redis.call('ZADD', KEYS[1], now, ARGV[1])
            redis.call('HSET', KEYS[2], unpack(ARGV, 2))
            redis.call('PEXPIRE', KEYS[2], 86400000)
            redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400000)
            return string.format('%.0f', now)
            """
        let words = ["EVAL", text, "2", nodes, node, name] + fields.flatMap { [$0.0, $0.1] }
        return Command(words.map { Array($0.utf8) })
    }
}
