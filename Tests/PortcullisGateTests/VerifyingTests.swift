import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisWire
import Synchronization
import TestKit
import Testing

@testable import struct PortcullisGate.VerificationLine

/// Tokens are verified a share a turn.
@Suite struct VerificationLineTests {
    private func stream(_ slot: UInt32) -> StreamID {
        StreamID(slot: slot, generation: 1)
    }

    @Test func theShareEndsAndBeginsAgain() {
        var line = VerificationLine(share: 100)
        #expect(line.isOpen)
        line.spend(60)
        #expect(line.isOpen)
        line.spend(40)
        #expect(!line.isOpen)
        line.begin()
        #expect(line.isOpen)
        // However small the share is: one in each turn.
        var least = VerificationLine(share: 0)
        #expect(least.isOpen)
        least.spend(0)
        #expect(!least.isOpen)
        least.begin()
        #expect(least.isOpen)
    }

    @Test func nobodyOvertakesThoseWhoWait() {
        var line = VerificationLine(share: 100)
        for slot in 0..<200 { line.append(stream(UInt32(slot))) }
        line.begin()
        #expect(!line.isOpen && line.count == 200)
        for slot in 0..<199 { #expect(line.popFirst() == stream(UInt32(slot))) }
        #expect(!line.isOpen)
        #expect(line.popFirst() == stream(199))
        #expect(line.isOpen && line.count == 0 && line.popFirst() == nil)
    }
}

@Suite(.serialized) struct VerifyingTests {
    typealias Stage = RememberedTokenTests.Stage

    private static let ping: [UInt8] = [0x89, 0x80, 0, 0, 0, 0]
    private static let pong: [UInt8] = [0x8A, 0x00]

    private func head(_ token: String) -> [UInt8] {
        let lines =
            ["GET /ws HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
            + ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
            + ["Authorization: Bearer \(token)"]
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    /// Everything up to these bytes, or to the end of the stream.
    private func read(_ socket: BlockingSocket, upTo end: [UInt8]) throws -> String {
        var all: [UInt8] = []
        while !all.suffix(end.count).elementsEqual(end) {
            let more = try socket.read()
            if more.isEmpty { break }
            all += more
        }
        return String(decoding: all, as: UTF8.self)
    }

    private func open(_ count: Int, _ test: GateUnderTest) throws -> [BlockingSocket] {
        let before = test.gate.status.connections
        let sockets = try (0..<count).map { _ in try BlockingSocket(test.gate.endpoint, timeout: 30_000) }
        try test.wait("all are accepted") { test.gate.status.connections == before + count }
        return sockets
    }

    /// With the smallest share one token is verified a turn. Forty are there at once; a decision comes when the first of them is through.
    @Test func aDecisionInTheMiddleOfAStormComesBeforeTheRest() throws {
        let stage = try Stage(loops: 1) {
            $0.verificationShare = 1
            $0.reportsAdmissions = true
        }
        let test = stage.test
        let victim = try test.connect("victim", raw: true, token: stage.token("victim"))
        try test.wait("the snapshot") { test.gate.status.connections == 1 }
        let sockets = try open(40, test)
        let tokens = try sockets.indices.map { try stage.token("user\($0)") }
        let stop = Doorstop(test, at: 2)
        try sockets[0].write(head(tokens[0]) + Self.ping)
        try stop.waitUntilHeld()
        // The loop finds all of these in its next turn.
        for number in 1..<40 { try sockets[number].write(head(tokens[number]) + Self.ping) }
        stop.release()
        try stop.waitUntilHeld()
        for user in ["victim", "user7"] {
            try test.publish(#"{"v":1,"type":"revoke","select":{"user":"\#(user)"},"issued_before_ms":"never"}"#)
        }
        // Redis has written to its subscribers before it answers the next question.
        try test.redis.ask("PING")
        stop.release()
        #expect(try victim.receiveClose() == .close(4410, "revoked"))
        for (number, socket) in sockets.enumerated() {
            let answer = try read(socket, upTo: Self.pong)
            if number == 7 {
                #expect(answer.contains("401") && answer.contains("revoked"))
            } else {
                #expect(answer.hasPrefix("HTTP/1.1 101"))
            }
        }
        var admitted: [Identifier] = []
        var admittedBefore: [Int] = []
        for report in test.reports.all {
            switch report {
            case .admitted(_, let user, _, _): if user != "victim" { admitted.append(user) }
            case .decided: admittedBefore.append(admitted.count)
            default: break
            }
        }
        // Each comes once more, from the log that it was adopted into.
        #expect(admittedBefore.count >= 2)
        // What a turn had begun was done, and the next may verify one more beside its decisions.
        #expect(admittedBefore.prefix(2).allSatisfy { $0 <= 3 }, "\(admittedBefore)")
        #expect(admitted == (0..<40).filter { $0 != 7 }.map { Identifier("user\($0)") })
    }

    /// Its handshake's time runs on; who is not reached in time is told to come back later.
    @Test func whoWaitsTooLongIsRefused() throws {
        let stage = try Stage(loops: 1) {
            $0.verificationShare = 1
            $0.reportsAdmissions = true
            // The loop is held for longer than that, and must not lose its lease by it.
            ($0.handshake, $0.lease) = (.seconds(6), .seconds(60))
        }
        let test = stage.test
        let sockets = try open(8, test)
        let begun = Clock.boot()
        let tokens = try sockets.indices.map { try stage.token("user\($0)") }
        let stop = Doorstop(test, at: 2)
        try sockets[0].write(head(tokens[0]) + Self.ping)
        try stop.waitUntilHeld()
        for number in 1..<8 { try sockets[number].write(head(tokens[number]) + Self.ping) }
        stop.release()
        try stop.waitUntilHeld()
        while Clock.boot() - begun < 6_200_000_000 { Thread.sleep(forTimeInterval: 0.05) }
        stop.release()
        for (number, socket) in sockets.enumerated() {
            let answer = try read(socket, upTo: Self.pong)
            if number < 2 {
                #expect(answer.hasPrefix("HTTP/1.1 101"))
            } else {
                #expect(answer.hasPrefix("HTTP/1.1 503") && answer.contains("at_capacity"))
            }
        }
    }

    /// A token that comes as the first message waits like any other, and so does what is sent behind it.
    @Test func firstMessagesWaitToo() throws {
        let stage = try Stage(loops: 1) {
            $0.verificationShare = 1
            $0.reportsAdmissions = true
            $0.credentials = CredentialSource(tokens: [.firstMessage])
        }
        let test = stage.test
        let headers = ["Sec-WebSocket-Protocol: portcullis.v1"]
        let peers = try (0..<6).map { _ in try WebSocketPeer(test.gate.endpoint, headers: headers) }
        let tokens = try peers.indices.map { try stage.token("user\($0)") }
        let stop = Doorstop(test, at: 1)
        for (number, peer) in peers.enumerated() {
            try peer.send(text: #"{"type":"authenticate","token":"\#(tokens[number])"}"#)
            try peer.send(raw: Self.ping)
            if number == 0 { try stop.waitUntilHeld() }
        }
        stop.release()
        for (number, peer) in peers.enumerated() {
            #expect(try peer.receive(type: "welcome")["user"] as? String == "user\(number)")
            #expect(try peer.receive() == .pong)
        }
    }
}
