/// What a gate's user must be allowed in Redis, tried before the gate starts.
///
/// Redis judges a user's rights before it looks at what a command says. So each command is tried in a form that changes nothing: most fail,
/// and only `NOPERM` tells.
public enum GateRights {
    /// Something that is tried.
    public struct Trial: Equatable, Sendable {
        /// What is tried, in words: a command, and on which key or channel.
        public let name: String
        public let command: Command
    }

    /// On a connection for commands.
    /// - Parameters:
    ///   - session: the key of some session; nil where sessions are off.
    ///   - touches: whether sessions in use are renewed.
    ///   - sharedKeys: the beginnings of the keys that are asked about a token.
    ///   - replicas: whether replicas are waited for.
    ///   - capsUsers: whether users may have only so many connections.
    ///   - keepsPresence: whether it is kept who is in rooms.
    public static func trials(
        _ keys: Keys,
        node: String,
        session: String?,
        touches: Bool,
        sharedKeys: [String],
        replicas: Bool,
        capsUsers: Bool = false,
        keepsPresence: Bool = false
    ) -> [Trial] {
        let (none, seen, perm) = ("none", keys.prefix + "seen:" + trial, keys.prefix + "perm:" + trial)
        let reply = keys.prefix + "reply:" + trial
        var lists: [[String]] = [
            ["TIME"], ["CLIENT", "ID"], ["CLIENT", "TRACKING", "OFF"], ["CLIENT", "CACHING", "YES"],
            ["EVAL", "return 1", "1", keys.log],
            ["XRANGE", keys.log, "+", "-", "COUNT", "1"], ["XREVRANGE", keys.log, "-", "+", "COUNT", "1"],
            ["XADD", keys.log, "0-0", none, none], ["XTRIM", keys.log, "MINID", "0"], ["TYPE", keys.log],
            ["GET", keys.order], ["SET", keys.order, none, "PX", "0"], ["SET", keys.epoch, none, "PX", "0"],
            ["GET", keys.epoch], ["GET", seen], ["SET", seen, none, "PX", "0"],
            ["HSCAN", keys.standing, "0", "COUNT", "1"], ["HSET", keys.standing, none, none, none],
            ["HDEL", keys.standing, trial], ["HGET", perm, none], ["HSET", perm, none, none, none],
            ["ZADD", keys.nodes, none, none], ["ZREM", keys.nodes, trial],
            ["ZREMRANGEBYSCORE", keys.nodes, none, none], ["HSET", keys.node(node), none, none, none],
            ["PEXPIRE", keys.node(node), none], ["SET", keys.probe(node), none, "PX", "0"],
            ["GETDEL", keys.prefix + "ticket:" + trial], ["PTTL", keys.prefix + "first:" + trial],
            ["RPUSH", reply, none], ["DEL", reply], ["PUBLISH", keys.control(trial), none],
            ["PUBLISH", keys.rooms + trial, none],
        ]
        if let session {
            lists += [["GET", session], ["HGETALL", session], ["PTTL", session]]
            if touches { lists.append(["PEXPIRE", session, none]) }
        }
        for shared in sharedKeys { lists += [["EXISTS", shared + trial], ["GET", shared + trial]] }
        if sharedKeys.contains(active) { lists.append(["PEXPIRE", active + trial, none]) }
        // Written for the services that look at them, where a published revocation is adopted.
        for shared in ["revoked:", "jwt_blacklist:"] { lists.append(["SET", shared + trial, none, "PX", "0"]) }
        if capsUsers {
            let (user, lease) = (keys.prefix + "user:" + trial, keys.instancePrefix + trial)
            lists += [
                ["ZRANGE", user, "0", "0"], ["ZADD", user, none, none], ["ZREM", user, trial], ["PEXPIRE", user, none],
                ["GET", lease], ["SET", lease, none, "PX", "0"], ["DEL", lease],
            ]
        }
        if keepsPresence {
            let (members, lease) = (keys.prefix + "members:" + trial, keys.instancePrefix + trial)
            lists += [
                ["HGET", members, none], ["HSET", members, none, none, none], ["HDEL", members, trial],
                ["HGETALL", members], ["HSCAN", members, "0", "COUNT", "1"], ["HLEN", members], ["HKEYS", members],
                ["EXISTS", members], ["DEL", members],
                ["PEXPIRE", members, none], ["EXISTS", lease], ["SET", lease, none, "PX", "0"], ["DEL", lease],
            ]
        }
        if replicas { lists.append(["WAIT", "0", "1"]) }
        return lists.map { Trial(name: name($0), command: Command($0.map { Array($0.utf8) })) }
    }

    /// On a connection that is given up behind them.
    public static func subscriptions(_ keys: Keys, node: String) -> [Trial] {
        let room = keys.rooms + trial
        let channels = ["__redis__:invalidate", keys.control(node), keys.events, room]
        return channels.map { Trial(name: "SUBSCRIBE on the channel \($0)", command: Command("SUBSCRIBE", $0)) }
            + [Trial(name: "UNSUBSCRIBE", command: Command("UNSUBSCRIBE", room))]
    }

    /// What is said of a right that is missing; nil where an answer refuses none.
    public static func complaint(_ trial: Trial, _ answer: RESPValue) -> String? {
        guard let error = answer.errorText, error.hasPrefix("NOPERM") else { return nil }
        return
            "Redis forbids the gate's user \(trial.name): give it the ACL line for gates in the README (ACL SETUSER)."
    }

    /// Names keys that nobody has.
    private static let trial = "portcullis-trial"
    private static let active = "active_token:"

    private static func name(_ words: [String]) -> String {
        switch words.first ?? "" {
        case "TIME", "WAIT": words[0]
        case "CLIENT": "\(words[0]) \(words[1])"
        case "EVAL": "EVAL"
        case "PUBLISH": "PUBLISH on the channel \(words[1])"
        default: "\(words[0]) on the key \(words[1])"
        }
    }
}
