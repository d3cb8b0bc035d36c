import Foundation
import PortcullisReactor
import PortcullisRedis
import TestKit
import Testing

/// The proxy itself: what it lets through, holds, takes out and closes.
@Suite(.serialized) struct FaultProxyTests {
    private let redis: RedisServer
    private let proxy: FaultProxy

    init() throws {
        redis = try RedisServer()
        proxy = try FaultProxy(to: redis.socket)
    }

    private func wait(_ what: String, _ condition: () throws -> Bool) throws {
        let end = Clock.boot() + 30_000_000_000
        repeat {
            if try condition() { return }
            Thread.sleep(forTimeInterval: 0.005)
        } while Clock.boot() < end
        throw World.Vain(description: "waited in vain: \(what)")
    }

    /// A subscriber through the proxy that has been acknowledged.
    private func subscriber(_ channels: String...) throws -> BlockingConnection {
        let connection = try BlockingConnection(proxy.url, timeout: 30_000)
        _ = try connection.ask(Command(([["SUBSCRIBE"], channels].flatMap { $0 }).map { Array($0.utf8) }))
        for _ in channels.dropFirst() { _ = try connection.receive(0) }
        return connection
    }

    @Test func passes() throws {
        let connection = try BlockingConnection(proxy.url)
        let large = String(repeating: "x", count: 1 << 20)
        #expect(try connection.ask(Command("SET", "k", large)).text == "OK")
        #expect(try connection.ask(Command("GET", "k")).text == large)
        #expect(proxy.counts == FaultCounts(links: 1))
    }

    /// Only whole messages of the kinds that were named are taken out, also where they come in one write with others.
    @Test func dropsMessagesOfAKind() throws {
        proxy.set(.drop([.events]))
        let subscriber = try subscriber("portcullis:events", "portcullis:ctl:a", "portcullis:room:r")
        for (channel, text) in [("events", "1"), ("ctl:a", "2"), ("events", "3"), ("room:r", "4")] {
            try redis.ask("PUBLISH", "portcullis:\(channel)", text)
        }
        #expect(try subscriber.receive(0).array?.last?.text == "2")
        #expect(try subscriber.receive(0).array?.last?.text == "4")
        proxy.set(.drop([.control, .others]))
        for (channel, text) in [("ctl:a", "5"), ("room:r", "6"), ("events", "7")] {
            try redis.ask("PUBLISH", "portcullis:\(channel)", text)
        }
        #expect(try subscriber.receive(0).array?.last?.text == "7")
        #expect(proxy.counts.dropped == 4)
    }

    @Test func dropsInvalidations() throws {
        proxy.set(.drop(.invalidations))
        let connection = try BlockingConnection(proxy.url, timeout: 30_000)
        let id = try #require(try connection.ask(Command("CLIENT", "ID")).integer)
        _ = try connection.ask(Command("SUBSCRIBE", "__redis__:invalidate"))
        let reader = try BlockingConnection(redis.url)
        _ = try reader.ask(Command("CLIENT", "TRACKING", "ON", "REDIRECT", String(id)))
        func change() throws {
            _ = try reader.ask(Command("GET", "k"))
            try redis.ask("SET", "k", "1")
        }
        try change()
        try wait("it is dropped") { proxy.counts.dropped == 1 }
        proxy.set(.pass)
        try change()
        #expect(Push(try connection.receive(0)) == .invalidated([Array("k".utf8)]))
    }

    @Test func stallsAndDeliversLate() throws {
        let subscriber = try subscriber("portcullis:events")
        proxy.set(.stall, .subscription, .toGate)
        // The other kind of link is not concerned.
        let connection = try BlockingConnection(proxy.url)
        for text in ["1", "2"] { _ = try connection.ask(Command("PUBLISH", "portcullis:events", text)) }
        #expect(proxy.counts.late == 0)
        proxy.set(.pass)
        #expect(try subscriber.receive(0).array?.last?.text == "1")
        #expect(try subscriber.receive(0).array?.last?.text == "2")
        #expect(proxy.counts.late > 0)
    }

    /// A half-open link stays so: a new one passes.
    @Test func swallows() throws {
        let connection = try BlockingConnection(proxy.url, timeout: 300)
        proxy.set(.swallow, nil, .toGate)
        #expect(throws: BlockingConnection.Failure.self) { try connection.ask(Command("PING")) }
        try wait("it is swallowed") { proxy.counts.swallowed > 0 }
        proxy.set(.pass)
        #expect(throws: BlockingConnection.Failure.self) { try connection.ask(Command("PING")) }
        #expect(try BlockingConnection(proxy.url).ask(Command("PING")).text == "PONG")
    }

    @Test func cutsAndRefuses() throws {
        let subscriber = try subscriber("portcullis:events")
        let connection = try BlockingConnection(proxy.url)
        proxy.cut(.subscription)
        #expect(throws: BlockingConnection.Failure.self) { try subscriber.receive(0) }
        #expect(try connection.ask(Command("PING")).text == "PONG")
        proxy.refuse(true)
        #expect(throws: BlockingConnection.Failure.self) {
            try BlockingConnection(proxy.url).ask(Command("PING"))
        }
        #expect(proxy.counts.cut == 2)
    }
}
