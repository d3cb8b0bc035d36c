import PortcullisCore
import PortcullisWire

/// The bytes are what somebody published or stored. An event that is read says the same when it is written and read again.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzEvents(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    checkPlain(bytes)
    if let event = try? EventCodec.decode(bytes, roles: .standard, mayLackID: true) { check(event) }
    switch try? ChannelMessage.decode(bytes, roles: .standard) {
    case .bare(let event, let payload):
        precondition(payload == bytes)
        check(event)
    case .logged(let entry):
        precondition(entry.order >= 0 && entry.key.isWellFormed)
        check(entry.event)
    case nil: break
    }
    if let entry = try? StandingEntry.decode(bytes, roles: .standard) { check(entry.event) }
    return 0
}

/// What is read without objects says what the full reader says.
private func checkPlain(_ bytes: [UInt8]) {
    guard let plain = PlainEvent(bytes.span, 0..<bytes.count) else { return }
    guard let event = try? EventCodec.decode(bytes, roles: .standard, mayLackID: true) else {
        preconditionFailure("a plain event is none")
    }
    let select = Selector(ids: [plain.field: Identifier(bytes: Array(bytes[plain.id]))])
    let covers: Decision.IssuedBefore =
        switch plain.covers {
        case .append: .append
        case .all: .never
        case .upTo(let time): .time(time)
        }
    let decision: Decision =
        plain.isBlock
        ? .block(select, except: nil, until: plain.ends)
        : .revoke(.init(select: select, issuedBefore: covers, expires: plain.ends))
    precondition(event.decision == decision, "a plain event decides something else")
    precondition(event.id?.bytes == plain.event.map { Array(bytes[$0]) })
    precondition(event.reason.map { Array($0.utf8) } == plain.reason.map { Array(bytes[$0]) })
    precondition(event.actor.map { Array($0.utf8) } == plain.actor.map { Array(bytes[$0]) })
}

private func check(_ event: Event) {
    let json = EventCodec.encode(event, roles: .standard)
    do throws(EventRejection) {
        let again = try EventCodec.decode(json, roles: .standard, mayLackID: true)
        precondition(again == event, "an event says something else when it is written and read again")
        precondition(EventCodec.encode(again, roles: .standard) == json)
    } catch {
        // Escapes may make what is written longer than what was read.
        precondition(error == .tooLarge, "an event that was read cannot be read again: \(error)")
    }
}
