import PortcullisCore
import PortcullisReactor
import PortcullisRedis

/// A link to each configured sentinel, on the first loop: they are asked again and again which Redis is the primary.
final class SentinelWatch {
    private struct Link {
        let address: RedisAddress
        var machine = LinkMachine()
        var stream: StreamID?
        var reader: RESPReader?
        /// When the question was sent that has not been answered.
        var asked: BootTime?
        var nextAsk = BootTime(nanoseconds: 0)
        /// Whether it wants a password, and is given that of Redis: there is no other.
        var wantsLogin = false
        var isLookingUp = false
        /// Whether a loss has been told that no success has followed.
        var lossWasTold = false
    }

    // The uplink owns the watch and outlives it.
    private unowned let uplink: Uplink
    private let name: String
    private let url: RedisURL
    private let lease: Milliseconds
    private var links: [Link]
    private var machine: SentinelMachine

    init(_ uplink: Uplink, _ addresses: [RedisAddress], name: String, lease: Milliseconds) {
        self.uplink = uplink
        self.name = name
        url = uplink.configuration.redis
        self.lease = lease
        links = addresses.map { Link(address: $0) }
        machine = SentinelMachine(sentinels: addresses.count, lease: lease)
    }

    private var now: BootTime { uplink.now }

    // MARK: - What the uplink asks

    /// Whether there is anybody to connect to.
    var knowsPrimary: Bool {
        machine.knowsPrimary(now: now)
    }

    /// Whom to connect to.
    /// - Parameter keeps: whether the other link stands.
    func choose(keeps: Bool) -> RedisAddress? {
        machine.choose(keeps: keeps, now: now)
    }

    var following: RedisAddress? {
        machine.following
    }

    /// Both links stand.
    func linksStand() {
        machine.connected()
    }

    /// The time as of which a view that was confirmed by a question of `sentAt` may vouch; nil: not at all.
    func primaryConfirmed(sentAt: BootTime) -> BootTime? {
        machine.vouchable(sentAt, now: now)
    }

    // MARK: - Links

    /// Questions and reconnections that are due.
    func turnEnded() {
        // Without a primary, and before the first vouch, soon again; else so often that an answer never is the older part of a lease.
        let pause = min(uplink.machine.hears && uplink.isPrimaryNamed ? 1000 : 200, lease.count / 5)
        for index in links.indices {
            guard links[index].machine.isReady else {
                act(links[index].machine.timePassed(now: now.nanoseconds, random: .random(in: 0..<1)), index)
                continue
            }
            if let asked = links[index].asked {
                if now.since(asked) > Milliseconds(lease.count / 2) { lost(index, "It did not answer in time.") }
            } else if now >= links[index].nextAsk {
                links[index].asked = now
                links[index].nextAsk = now + Milliseconds(pause)
                send([SentinelAnswer.question(name)], index)
            }
        }
    }

    private func send(_ commands: [Command], _ index: Int) {
        guard let stream = links[index].stream else { return }
        var bytes: [UInt8] = []
        for command in commands { command.encode(into: &bytes) }
        uplink.loop.engine.send(stream, bytes)
    }

    private func greeting(_ index: Int) -> [Command] {
        (links[index].wantsLogin ? url.login : []) + [Command("PING")]
    }

    private func act(_ action: LinkMachine.Action, _ index: Int) {
        switch action {
        case .nothing: break
        case .connect: connect(index)
        case .greet: send(greeting(index), index)
        case .becomeReady:
            links[index].lossWasTold = false
            links[index].nextAsk = now
        case .drop(let reason): dropped(index, reason)
        }
    }

    private func connect(_ index: Int) {
        let address = links[index].address
        if IPAddress(address.host) != nil {
            return connect(index, [.tcp(address: address.host, port: address.port)])
        }
        guard !links[index].isLookingUp else { return }
        let mailbox = uplink.loop.mailbox
        do throws(SocketError) {
            // The resolver may take seconds: it is asked on a thread of its own, which ends with its answer.
            try LoopThread.detached("resolve") {
                do throws(SocketError) {
                    mailbox.post(.sentinelResolved(try address.resolve(), index: index, failure: nil))
                } catch {
                    mailbox.post(.sentinelResolved([], index: index, failure: "\(error)"))
                }
            }
            links[index].isLookingUp = true
        } catch {
            lost(index, "\(error)")
        }
    }

    func resolved(_ endpoints: [Endpoint], _ index: Int, _ failure: String?) {
        links[index].isLookingUp = false
        guard case .connecting = links[index].machine.state, links[index].stream == nil else { return }
        if let failure { lost(index, failure) } else { connect(index, endpoints) }
    }

    private func connect(_ index: Int, _ endpoints: [Endpoint]) {
        guard !endpoints.isEmpty else { return lost(index, "The host has no address.") }
        guard let reader = RESPReader() else { return lost(index, "Memory has run out.") }
        do {
            let security = try url.security(of: links[index].address.host)
            let endpoint = endpoints[links[index].machine.failures % endpoints.count]
            links[index].stream = try uplink.loop.engine.connect(to: endpoint, securedBy: security)
            links[index].reader = reader
        } catch let failure as TLSFailure {
            lost(index, failure.redisSentence)
        } catch {
            lost(index, "\(error)")
        }
    }

    private func lost(_ index: Int, _ reason: String) {
        act(links[index].machine.lost(reason, now: now.nanoseconds, random: .random(in: 0..<1)), index)
    }

    private func dropped(_ index: Int, _ reason: String) {
        if let stream = links[index].stream { uplink.loop.engine.close(stream) }
        links[index].stream = nil
        links[index].reader = nil
        links[index].asked = nil
        guard !links[index].lossWasTold else { return }
        links[index].lossWasTold = true
        uplink.shared.report(.sentinelLost("\(links[index].address)", reason))
    }

    // MARK: - What the engine tells; false where the stream is no sentinel's

    private func index(of stream: StreamID) -> Int? {
        links.firstIndex { $0.stream == stream }
    }

    func connected(_ stream: StreamID) -> Bool {
        guard let index = index(of: stream) else { return false }
        act(links[index].machine.connected(greeting: greeting(index).count, now: now.nanoseconds), index)
        return true
    }

    func received(_ stream: StreamID, _ bytes: Span<UInt8>) -> Bool {
        guard let index = index(of: stream), let reader = links[index].reader else { return false }
        do throws(RESPError) {
            try reader.feed(bytes)
            while links[index].stream == stream, let value = try reader.next() { take(value, index) }
        } catch {
            lost(index, error.description)
        }
        return true
    }

    func gone(_ stream: StreamID, _ reason: Gone) -> Bool {
        guard let index = index(of: stream) else { return false }
        lost(index, reason.redisSentence)
        return true
    }

    private func take(_ value: RESPValue, _ index: Int) {
        if value.errorText?.hasPrefix("NOAUTH") == true, !links[index].wantsLogin, !url.login.isEmpty {
            links[index].wantsLogin = true
            links[index].lossWasTold = true
            return lost(index, "It asks for a password.")
        }
        guard links[index].machine.isReady else {
            return act(links[index].machine.greeted(value, now: now.nanoseconds, random: .random(in: 0..<1)), index)
        }
        guard let asked = links[index].asked else { return lost(index, "It answered what was not asked.") }
        links[index].asked = nil
        let answer = SentinelAnswer(value)
        switch answer {
        case .primary: break
        case .unknown: return refused(index, answer, asked, "It knows no primary named \(name): correct redis.url.")
        case .refused(let why): return refused(index, answer, asked, why)
        }
        let couldVouch = machine.vouchable(asked, now: now) != nil
        if let address = machine.answered(index, answer, sentAt: asked, now: now) {
            uplink.primaryMoved(to: address)
        } else if !couldVouch, machine.vouchable(asked, now: now) != nil {
            uplink.majorityReached()
        }
    }

    /// It stays connected, and may know better the next time.
    private func refused(_ index: Int, _ answer: SentinelAnswer, _ asked: BootTime, _ reason: String) {
        _ = machine.answered(index, answer, sentAt: asked, now: now)
        guard !links[index].lossWasTold else { return }
        links[index].lossWasTold = true
        uplink.shared.report(.sentinelLost("\(links[index].address)", reason))
    }
}

extension Gone {
    /// What the end of a stream to Redis means, in a sentence.
    var redisSentence: String {
        switch self {
        case .closed: "The connection was closed."
        case .ended: "Redis closed the connection."
        case .failed(let number): "Redis can't be reached: \(SocketError.text(number))."
        case .insecure(let failure): failure.redisSentence
        }
    }
}
