import Glibc
public import PortcullisReactor

/// A connected socket with a parser: it asks one server and waits.
final class BlockingLine {
    typealias Failure = BlockingConnection.Failure

    private let socket: BlockingSocket
    private let reader: RESPReader

    /// Connects, and says nothing yet.
    init(_ url: RedisURL, timeout: Int) throws(Failure) {
        guard let reader = RESPReader() else { throw Failure(description: "Memory has run out.") }
        self.reader = reader
        socket = try Self.connect(url, timeout)
    }

    private static func connect(_ url: RedisURL, _ timeout: Int) throws(Failure) -> BlockingSocket {
        var reason = "it has no address."
        var isRefusal = false
        do throws(SocketError) {
            let security = try url.security()
            for endpoint in try url.resolve() {
                do throws(SocketError) {
                    return try BlockingSocket(endpoint, timeout: timeout, securedBy: security)
                } catch {
                    reason = error.security?.redisSentence ?? SocketError.text(error.errno) + "."
                    isRefusal = error.security.map { !$0.mayPass } ?? false
                }
            }
        } catch {
            reason = error.security?.redisSentence ?? error.doing + "."
            isRefusal = error.security.map { !$0.mayPass } ?? false
        }
        throw Failure(description: "Redis at \(url) can't be reached: \(reason)", isRefusal: isRefusal)
    }

    /// Says what a new connection begins with.
    func greet(_ commands: [Command], of url: RedisURL) throws(Failure) {
        do throws(Failure) {
            for command in commands {
                let reply = try ask([command], extra: 0)[0]
                guard let refusal = LinkMachine.refusal(reply) else { continue }
                // A replica may be a primary in a moment, and what is loading has loaded then.
                let isLasting = reply.errorText.map { !$0.hasPrefix("LOADING") } ?? false
                throw Failure(description: refusal, isRefusal: isLasting)
            }
        } catch {
            throw Failure(
                description: "Redis at \(url) can't be used: \(error.description)",
                isRefusal: error.isRefusal
            )
        }
    }

    /// Sends commands in one write and waits for all answers, which are as many.
    func ask(_ commands: [Command], extra: Int) throws(Failure) -> [RESPValue] {
        var output: [UInt8] = []
        for command in commands { command.encode(into: &output) }
        do throws(SocketError) {
            try socket.write(output)
        } catch {
            throw Self.failure(error)
        }
        var replies: [RESPValue] = []
        for _ in commands { replies.append(try receive(extra)) }
        return replies
    }

    /// Waits for the next value.
    func receive(_ extra: Int) throws(Failure) -> RESPValue {
        do {
            while true {
                if let value = try reader.next() { return value }
                let bytes = try socket.read(extra: extra)
                if bytes.isEmpty { throw Failure(description: "Redis has closed the connection.") }
                try reader.feed(bytes.span)
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as SocketError {
            throw Self.failure(error)
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    private static func failure(_ error: SocketError) -> Failure {
        // Under TLS 1.3 a server says only now that it wants no client without a certificate.
        if let security = error.security { return Failure(description: security.redisSentence, isRefusal: true) }
        let late = error.errno == EAGAIN || error.errno == ETIMEDOUT
        return Failure(description: late ? "Redis did not answer in time." : "Redis: \(SocketError.text(error.errno)).")
    }
}

extension RedisURL {
    /// The endpoints to try; none where sentinels must be asked first. A host name is looked up, which may block for seconds.
    public func resolve() throws(SocketError) -> [Endpoint] {
        switch place {
        case .path(let path): [.unix(path: path)]
        case .host(let host, let port): try Endpoint.resolve(host: host, port: port)
        case .sentinels: []
        }
    }

    /// How its connections are secured.
    fileprivate func security() throws(SocketError) -> TLSClient? {
        guard case .host(let host, _) = place else { return nil }
        do throws(TLSFailure) {
            return try security(of: host)
        } catch {
            throw SocketError("prepare TLS", errno: EPROTO, security: error)
        }
    }
}
