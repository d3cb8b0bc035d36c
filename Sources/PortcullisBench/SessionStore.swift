import PortcullisRedis

/// Puts server sessions into Redis, as a login service would.
struct SessionStore {
    private let redis: BlockingConnection

    private static let batch = 1000
    private static let script = """
        local time = redis.call('TIME')
        local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
        for place = 1, #ARGV, 2 do
          local value = '{"user_id":"' .. ARGV[place + 1] .. '","created_at":' .. now .. '}'
          redis.call('SET', 'session:' .. ARGV[place], value, 'EX', 3600)
        end
        """

    init(_ path: String) throws {
        redis = try BlockingConnection(RedisURL(place: .path(path)), timeout: 60_000)
    }

    /// A session for each passport that shows one.
    func fill(_ passports: Passports) throws {
        for first in stride(from: 0, to: passports.sessions.count, by: Self.batch) {
            let part = first..<min(first + Self.batch, passports.sessions.count)
            let words = part.flatMap { [passports.sessions[$0], passports.users[$0]] }
            let answer = try redis.ask(Command((["EVAL", Self.script, "0"] + words).map { Array($0.utf8) }))
            if let error = answer.errorText { throw BenchFailure("The sessions could not be stored: \(error)") }
        }
    }
}
