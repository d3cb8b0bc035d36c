import PortcullisCore
import PortcullisReactor
import PortcullisWire
import Testing

@testable import PortcullisGate

/// The tables of rooms: who wants them, who waits for them, and what waits for the log.
@Suite struct RoomTableTests {
    // MARK: - Interest

    @Test func theFirstWishSubscribesAndTheLastReleaseUnsubscribes() {
        var interest = RoomInterest(most: 10)
        #expect(interest.want("r", loop: 0, serial: 1) == .unavailable)
        #expect(interest.connected() == ["r"])
        #expect(interest.want("r", loop: 1, serial: 7) == .nothing)
        #expect(interest.acknowledged("r") == [0: 1, 1: 7])
        #expect(interest.want("r", loop: 2, serial: 9) == .stands)
        #expect(interest.release("r", loop: 0) == false)
        #expect(interest.release("r", loop: 0) == false)
        #expect(interest.release("r", loop: 1) == false)
        #expect(interest.release("r", loop: 2) == true)
        #expect(interest.count == 0)
        #expect(interest.want("s", loop: 0, serial: 2) == .subscribe)
    }

    /// SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE: the acknowledgement of the first is none of the second.
    @Test func aRoomThatIsWantedAgainStandsBehindTheLastAcknowledgement() {
        var interest = RoomInterest(most: 10)
        #expect(interest.connected() == [])
        #expect(interest.want("r", loop: 0, serial: 1) == .subscribe)
        #expect(interest.release("r", loop: 0) == true)
        #expect(interest.want("r", loop: 0, serial: 2) == .subscribe)
        #expect(interest.acknowledged("r") == [:])
        #expect(interest.acknowledged("r") == [0: 2])
        #expect(interest.acknowledged("r") == [:])
        #expect(interest.release("r", loop: 0) == true)
        #expect(interest.want("r", loop: 0, serial: 3) == .subscribe)
        #expect(interest.release("r", loop: 0) == true)
        #expect(interest.acknowledged("r") == [:])
        #expect(interest.count == 0)
    }

    @Test func aLostLinkIsOwedNothing() {
        var interest = RoomInterest(most: 10)
        _ = interest.connected()
        #expect(interest.want("r", loop: 0, serial: 1) == .subscribe)
        #expect(interest.want("gone", loop: 0, serial: 2) == .subscribe)
        #expect(interest.release("gone", loop: 0) == true)
        interest.lost()
        #expect(interest.count == 1)
        #expect(interest.connected() == ["r"])
        #expect(interest.acknowledged("r") == [0: 1])
    }

    @Test func roomsAreBounded() {
        var interest = RoomInterest(most: 2)
        _ = interest.connected()
        #expect(interest.want("a", loop: 0, serial: 1) == .subscribe)
        #expect(interest.want("b", loop: 0, serial: 2) == .subscribe)
        #expect(interest.want("c", loop: 0, serial: 3) == .full)
        #expect(interest.want("b", loop: 1, serial: 1) == .nothing)
    }

    // MARK: - Links

    private let alice = RoomLinks.Waiter.handshake(StreamID(slot: 1, generation: 1))
    private let bob = RoomLinks.Waiter.join(StreamID(slot: 2, generation: 1))

    @Test func whoWaitsGoesOnWhenTheSubscriptionStands() throws {
        var links = RoomLinks()
        let serialWish = links.wait(for: "r", alice)
        let serial = try #require(serialWish)
        #expect(links.wait(for: "r", bob) == nil)
        #expect(!links.stands("r"))
        #expect(links.stood("r", serial: serial + 1) == nil)
        let stood = links.stood("r", serial: serial)
        #expect(stood?.waiting == [alice, bob])
        #expect(stood?.missed == false)
        #expect(links.stands("r"))
    }

    /// An answer to an earlier wish for the same room says nothing about the later one.
    @Test func aStaleAnswerIsIgnored() throws {
        var links = RoomLinks()
        let firstWish = links.wait(for: "r", alice)
        let first = try #require(firstWish)
        _ = links.failed("r", serial: first)
        #expect(links.release("r") == true)
        let secondWish = links.wait(for: "r", bob)
        let second = try #require(secondWish)
        #expect(links.stood("r", serial: first) == nil)
        #expect(!links.stands("r"))
        #expect(links.stood("r", serial: second)?.waiting == [bob])
    }

    @Test func aRenewedSubscriptionTellsThatMessagesMayBeMissed() throws {
        var links = RoomLinks()
        let serialWish = links.wait(for: "r", alice)
        let serial = try #require(serialWish)
        _ = links.stood("r", serial: serial)
        #expect(links.lost().isEmpty)
        #expect(!links.stands("r"))
        #expect(links.wait(for: "r", bob) == nil)
        #expect(links.release("r") == false)
        // It is lost once more before it stands.
        #expect(links.lost().map(\.waiting) == [[bob]])
        let stood = links.stood("r", serial: serial)
        #expect(stood?.missed == true)
        #expect(stood?.waiting == [])
        #expect(links.stood("r", serial: serial)?.missed == false)
    }

    // MARK: - Held messages

    private func message(_ resource: Identifier, _ text: String, size: Int = 0) -> Relayed {
        let content = Array(text.utf8) + [UInt8](repeating: 0x20, count: size)
        return Relayed(resource: resource, user: "u", connection: nil, content: .text(content))
    }

    private func text(_ relayed: Relayed) -> String {
        if case .text(let text) = relayed.content { String(decoding: text, as: UTF8.self) } else { "" }
    }

    private func at(_ milliseconds: UInt64) -> LogPosition {
        LogPosition(milliseconds: milliseconds, sequence: 0)
    }

    @Test func whatWaitsKeepsItsOrder() {
        var held = HeldRooms(patience: .seconds(1))
        let now = BootTime(nanoseconds: 0)
        #expect(held.append(message("r", "1"), at: at(5), now: now) == true)
        // Behind it, though its own place was read.
        #expect(held.append(message("r", "2"), at: at(1), now: now) == true)
        #expect(held.append(message("r", "3"), at: at(9), now: now) == true)
        #expect(held.append(message("s", "4"), at: at(9), now: now) == true)
        #expect(held.take { $1 <= at(4) }.isEmpty)
        #expect(held.take { $1 <= at(5) }.map(text) == ["1", "2"])
        #expect(held.holds("r"))
        #expect(Set(held.take { $1 <= at(9) }.map(text)) == ["3", "4"])
        #expect(held.isEmpty)
    }

    @Test func noRoomWaitsForEver() {
        var held = HeldRooms(patience: .seconds(1))
        #expect(held.append(message("r", "1"), at: at(5), now: BootTime(nanoseconds: 0)) == true)
        #expect(held.append(message("r", "2"), at: at(5), now: BootTime(nanoseconds: 900_000_000)) == true)
        #expect(held.append(message("s", "3"), at: at(5), now: BootTime(nanoseconds: 900_000_000)) == true)
        #expect(held.expire(now: BootTime(nanoseconds: 999_000_000)) == [])
        #expect(held.expire(now: BootTime(nanoseconds: 1_000_000_000)) == ["r"])
        #expect(held.take { _, _ in true }.map(text) == ["3"])
    }

    @Test func whatWaitsIsBounded() {
        var held = HeldRooms(patience: .seconds(1))
        let now = BootTime(nanoseconds: 0)
        for number in 0..<HeldRooms.most {
            #expect(held.append(message("r", "\(number)"), at: at(5), now: now) == true)
        }
        // A hole in the middle would be none that anybody is told of: all of it is given up.
        #expect(held.append(message("r", "one more"), at: at(5), now: now) == false)
        #expect(held.isEmpty)
        #expect(held.append(message("r", "big", size: HeldRooms.mostBytes - 1000), at: at(5), now: now) == true)
        #expect(held.append(message("s", "big", size: 2000), at: at(5), now: now) == false)
        #expect(held.take { _, _ in true }.count == 1)
        #expect(held.append(message("s", "big", size: 2000), at: at(5), now: now) == true)
    }

    // MARK: - Permits that have no place yet

    @Test func behindAPermitThatIsBeingAdoptedNothingPasses() {
        var permits = PermitsUnderWay()
        permits.begin("a", on: "r")
        permits.begin("b", on: "r")
        #expect(!permits.mayPass("r") { _ in true })
        #expect(permits.mayPass("s") { _ in true })
        permits.end("b", on: "r", at: at(7))
        permits.prune { _ in true }
        #expect(!permits.mayPass("r") { _ in true })
        // One that changes nothing takes no place away.
        permits.end("a", on: "r", at: nil)
        permits.end("x", on: "r", at: at(99))
        #expect(!permits.mayPass("r") { $0 <= at(6) })
        permits.prune { $0 <= at(6) }
        #expect(!permits.isEmpty)
        #expect(permits.mayPass("r") { $0 <= at(7) })
        #expect(permits.isEmpty)
    }

    @Test func aPermitThatIsOverIsForgotten() {
        var permits = PermitsUnderWay()
        permits.begin("a", on: "r")
        permits.end("a", on: "r", at: at(7))
        permits.prune { $0 <= at(7) }
        #expect(permits.isEmpty)
        permits.end("a", on: "r", at: at(9))
        #expect(permits.mayPass("r") { _ in false })
    }
}
