import PortcullisCore
import TestKit

/// A gate: the machine, the replica and the loops of production, and a shell like the real one around them.
final class SimGate {
    unowned let world: World
    let number: Int
    private(set) var incarnation = 0
    var machine: VouchMachine
    var standing = StandingDecisions()
    var loops: [SimLoop] = []
    var command: SimLink?
    var subscription: SimLink?
    /// CLOCK_BOOTTIME and the wall clock of its machine, against the world's time, in ms.
    let bootOffset: Int64
    var wallOffset: Int64 = 0
    private var greatestWall: Int64 = 0
    var pausedUntil: Int64 = 0
    private var inbox: [() -> Void] = []
    var isAlive = true
    /// Events that were only published, until the log is known to hold them.
    var adoptions = SimAdoptions()
    /// When it last began to read everything.
    private(set) var lastFullReading: Int64 = 0

    // For the mistakes and for the oracle.
    var channelPosition = LogPosition.zero
    var hasAcknowledged = false
    /// When the view was last confirmed: when the question was sent, as the machine says it.
    var confirmedAt: Int64 = .min
    /// Since when it says that it hears, when its links were proved for that, and when something last went wrong with it.
    var hearsSince: Int64 = .max
    var provedAt: Int64 = 0
    var lastFault: Int64 = 0
    var slowUntil: Int64 = 0
    /// When it last followed a primary that is none any more.
    var followedDemoted: Int64 = -1_000_000

    init(_ world: World, _ number: Int) {
        self.world = world
        self.number = number
        bootOffset = world.pick(0...100_000)
        machine = VouchMachine(World.terms)
        loops = (0..<2).map { SimLoop(self, $0) }
    }

    var boot: BootTime { BootTime(nanoseconds: (world.now + bootOffset) * 1_000_000) }

    var wall: WallTime {
        greatestWall = max(greatestWall, world.now + wallOffset)
        return WallTime(milliseconds: greatestWall)
    }

    var isPaused: Bool { world.now < pausedUntil }

    func faulted() {
        lastFault = world.now
    }

    // MARK: - Its life

    func start() {
        isAlive = true
        connect(.command)
        connect(.subscription)
        tick(incarnation)
    }

    /// The process ends; its clients and links with it. Another begins later and knows nothing.
    func kill() {
        incarnation += 1
        isAlive = false
        faulted()
        command?.close()
        subscription?.close()
        (command, subscription) = (nil, nil)
        inbox = []
        adoptions = SimAdoptions()
        for loop in loops { loop.dropAll() }
        machine = VouchMachine(World.terms)
        standing = StandingDecisions()
        loops = (0..<2).map { SimLoop(self, $0) }
        greatestWall = 0
        channelPosition = .zero
        confirmedAt = .min
        hearsSince = .max
        world.oracle.forgot(self)
        world.at(world.now + world.pick(50...800)) { [self] in start() }
    }

    func pause(_ span: Int64) {
        faulted()
        pausedUntil = max(pausedUntil, world.now + span)
        world.at(pausedUntil) { [self] in
            guard !isPaused else { return }
            faulted()
            resume()
        }
    }

    /// Whatever came meanwhile is there at once: the links' first, though not always all of it, then the clients'.
    private func resume() {
        let waiting = inbox
        inbox = []
        let first = world.chance(50) ? waiting.count : Int(world.pick(0...Int64(waiting.count)))
        for act in waiting.prefix(first) { act() }
        for loop in loops {
            loop.readMail()
            loop.expire()
            loop.clientsTurn()
        }
        for act in waiting.dropFirst(first) { act() }
        timers()
    }

    /// Something comes on a link.
    func received(_ act: @escaping () -> Void) {
        guard isAlive else { return }
        if isPaused { inbox.append(act) } else { act() }
    }

    private func tick(_ of: Int) {
        guard of == incarnation else { return }
        if !isPaused { timers() }
        world.at(world.now + 20) { [self] in tick(of) }
    }

    private func timers() {
        perform(machine.timePassed(now: boot, random: world.random.next()))
        offerWaiting()
        for loop in loops {
            loop.readMail()
            loop.timers()
        }
    }

    // MARK: - Links

    private func connect(_ kind: VouchMachine.Link) {
        let of = incarnation
        world.at(world.now + world.pick(1...20)) { [self] in
            received { [self] in
                guard of == incarnation, link(kind) == nil else { return }
                let server = world.primary
                guard !server.isDown, server.frozenUntil <= world.now else { return retry(kind) }
                let link = SimLink(self, server, kind)
                if kind == .command { command = link } else { subscription = link }
                ready(link)
            }
        }
    }

    private func link(_ kind: VouchMachine.Link) -> SimLink? {
        kind == .command ? command : subscription
    }

    private func retry(_ kind: VouchMachine.Link) {
        world.at(world.now + world.pick(20...200)) { [self] in if isAlive { connect(kind) } }
    }

    private func ready(_ link: SimLink) {
        world.hurry()
        guard link.kind == .subscription else {
            return perform(machine.commandReady(now: boot, random: world.random.next()))
        }
        hasAcknowledged = false
        perform(machine.subscriptionAsked(now: boot))
        link.toRedis { [self] in
            link.server.subscribers.append(link)
            link.toGate { [self] in
                hasAcknowledged = true
                perform(machine.subscribed(now: boot, random: world.random.next()))
            }
        }
        if believesEarly { perform(machine.subscribed(now: boot, random: world.random.next())) }
    }

    /// Two mistakes: to take the subscription for acknowledged as soon as it is asked for, at the start or after a reconnect.
    private var believesEarly: Bool {
        world.mistakes.contains(machine.hasVouched ? .catchUpBeforeAcknowledgement : .admitBeforeAcknowledgement)
    }

    func lost(_ link: SimLink) {
        guard self.link(link.kind) === link else { return }
        drop(link.kind)
        perform(link.kind == .command ? machine.commandLost("lost") : machine.subscriptionLost("lost"))
    }

    private func drop(_ kind: VouchMachine.Link) {
        guard let link = link(kind) else { return }
        link.close()
        if kind == .command { command = nil } else { subscription = nil }
        if kind == .command { adoptions.linkLost() }
        retry(kind)
    }

    // MARK: - Actions

    func perform(_ actions: [VouchMachine.Action]) {
        for action in actions { perform(action) }
    }

    private func perform(_ action: VouchMachine.Action) {
        world.tell("gate \(number): \(Self.brief(action))")
        switch action {
        case .drop(let kind, _): drop(kind)
        case .track:
            guard let command, let subscription else { return }
            command.toRedis { command.redirect = subscription }
        case .makeEpoch:
            guard let command else { return }
            command.toRedis { command.server.setEpoch() }
        case .beginReading:
            lastFullReading = world.now
            standing.beginReading()
        case .readStanding(let cursor): readStanding(Int(cursor))
        case .readPage(let from, let count): readPage(from, count)
        case .sendProbe(let nonce): sendProbe(nonce)
        case .proved: if !machine.hears { provedAt = world.now }
        case .forgetVersions, .readSessions: break
        case .apply(let events, let isRead):
            for event in events {
                let replaces = world.mistakes.contains(.heardReplacesRead)
                standing.apply(event, isRead: isRead || replaces)
                world.oracle.learnt(self, event.key)
                world.oracle.replacedGuess(self, event.key)
            }
        case .tell(let events):
            let now = WallTime(milliseconds: world.now)
            for event in events where standing.counts(event, now: now) { post(.decided(event)) }
        case .hear:
            hearsSince = world.now
            post(.deaf(false))
        case .becomeDeaf:
            hearsSince = .max
            post(.deaf(true))
        case .vouch(let sentAt):
            confirmedAt = max(confirmedAt, sentAt.nanoseconds / 1_000_000 - bootOffset)
            let isLate = world.now - (sentAt.nanoseconds / 1_000_000 - bootOffset) >= World.lease
            let lies = world.mistakes.contains(isLate ? .lateReplyAccepted : .leaseFromReply)
            post(.vouched(lies ? boot : sentAt))
        case .restore: restore()
        }
    }

    private static func brief(_ action: VouchMachine.Action) -> String {
        switch action {
        case .apply(let events, _): "apply \(events.map(\.key))"
        case .tell(let events): "tell \(events.map(\.key))"
        case .vouch(let sentAt): "vouch \(sentAt.nanoseconds / 1_000_000)"
        default: "\(action)"
        }
    }

    func post(_ mail: SimLoop.Mail) {
        for loop in loops { loop.post(mail) }
    }

    private func readStanding(_ cursor: Int) {
        guard let command else { return }
        command.toRedis { [self] in
            let all = command.server.standing
            let page = Array(all.dropFirst(cursor).prefix(4))
            let next = cursor + 4 < all.count ? UInt64(cursor + 4) : 0
            command.toGate { [self] in
                perform(machine.standingRead(page, next: next, now: boot, random: world.random.next()))
            }
        }
    }

    private func readPage(_ from: LogPosition?, _ count: Int) {
        guard let command else { return }
        let sentAt = boot
        command.toRedis { [self] in
            let server = command.server
            let epoch = server.epoch
            let found = server.log.filter { $0.position >= from ?? .zero }.prefix(count)
            let whole = found.map { PageRow(position: $0.position, logged: $0.logged) }
            let rows = mistaken(whole, from, server, count)
            command.toGate { [self] in
                var now = boot
                if world.mistakes.contains(.lateReplyAccepted), now.since(sentAt) >= World.terms.lease { now = sentAt }
                perform(machine.pageRead(rows, epoch: epoch, now: now, random: world.random.next()))
            }
        }
    }

    /// Two mistakes: to go on from where the channel is, and to go on from the end after a reconnect.
    private func mistaken(_ rows: [PageRow], _ from: LogPosition?, _ server: RedisModel, _ count: Int) -> [PageRow] {
        guard let from, let first = rows.first, first.position == from else { return rows }
        func skip(to position: LogPosition) -> [PageRow] {
            let rest = server.log.lazy.filter { $0.position > max(position, from) }.prefix(count - 1)
                .map { PageRow(position: $0.position, logged: $0.logged) }
            // The position itself moves, though nothing of what is passed is read.
            let moved = position > from && server.log.contains { $0.position == position }
            return [first] + (moved ? [PageRow(position: position, logged: nil)] : []) + rest.prefix(count - 2)
        }
        if world.mistakes.contains(.positionMovedByChannel) { return skip(to: channelPosition) }
        if world.mistakes.contains(.noCatchUp), !machine.hears, let last = server.log.last?.position {
            return skip(to: last)
        }
        return rows
    }

    private func sendProbe(_ nonce: UInt64) {
        guard let command else { return }
        if believesEarly, !hasAcknowledged {
            world.at(world.now) { [self] in
                received { [self] in
                    machine.probeInvalidated()
                    perform(machine.probeReturned(nonce, now: boot))
                }
            }
        }
        command.toRedis { [self] in
            guard !command.server.isDemoted else {
                return command.toGate { [self] in perform(machine.probeRefused("READONLY", isNoPrimary: true)) }
            }
            guard let told = command.redirect, told.isOpen else { return }
            told.toGate { [self] in machine.probeInvalidated() }
            guard command.server.subscribers.contains(where: { $0 === told }) else { return }
            told.toGate { [self] in perform(machine.probeReturned(nonce, now: boot)) }
        }
    }

    private func restore() {
        search(standing.searchForMissing(), found: 0, incarnation)
    }

    /// A few rows at a time: links break, decisions come and readings begin in between.
    private func search(_ from: StandingDecisions.Search, found: Int, _ of: Int) {
        guard of == incarnation else { return }
        var search = from
        let now = WallTime(milliseconds: world.now)
        guard let command else { return machine.missing(1, now: boot) }
        let missing = standing.missing(&search, now: now, rows: 3, copies: 2)
        defer {
            if !search.isOver {
                world.at(world.now + 1) { [self] in
                    received { [self] in self.search(search, found: found + missing.count, of) }
                }
            } else if !search.isOvertaken {
                machine.missing(found + missing.count, now: boot)
            }
        }
        for copy in missing {
            let order = world.mistakes.contains(.copiesWithoutOrder) ? nil : copy.order
            command.toRedis { _ = command.server.append(copy.event, key: copy.key, order: order) }
        }
    }
}
