import PortcullisCore
import PortcullisReactor
import PortcullisWire
import Synchronization

/// Messages between the members of a resource.
extension GateLoop {
    /// A message of a raw connection: to the others on the resource where its role allows it, and back to it in `echo` mode.
    func relayRaw(_ slot: UInt32, _ kind: MessageKind, _ payload: [UInt8]) {
        if configuration.relay == .echo {
            output.removeAll(keepingCapacity: true)
            FrameWriter.append(kind, payload.span, to: &output)
            push(slot, output)
        }
        guard configuration.relay != .off, let resource = lives[Int(slot)].resource,
            let membership = rooms.membership(slot, resource), membership.role >= configuration.roles.editor
        else { return }
        relay(slot, resource, kind == .text ? .text(payload) : .binary(payload))
    }

    /// Gives a message to every other member, on every loop and every gate: by way of Redis, also to those of this gate. So it comes behind
    /// each decision that was there before it was said, and the same way to all.
    func relay(_ slot: UInt32, _ resource: Identifier, _ content: RoomMessage.Content) {
        guard let identity = registry.identity(slot) else { return }
        let relayed = Relayed(
            resource: resource,
            user: identity.user,
            connection: connectionID(slot),
            content: content
        )
        let message = RoomMessage(
            node: Identifier(configuration.node),
            connection: relayed.connection,
            user: relayed.user,
            content
        ).encode()
        shared.publishing.bytes.add(message.count, ordering: .relaxed)
        order(.publish(relayed, message))
    }

    /// Delivers to this loop's members, but for whom it came from or is about. Each form is encoded once, and only where a member reads it.
    func deliver(_ relayed: Relayed) {
        notePresence(relayed)
        // Taken out: whoever is closed for not reading leaves the room meanwhile.
        var members: [UInt32] = []
        swap(&members, &receivers)
        rooms.forEachMember(of: relayed.resource) { if !sent($0.slot, relayed) { members.append($0.slot) } }
        defer {
            members.removeAll(keepingCapacity: members.count <= 1024)
            receivers = members
        }
        var rawFrame: [UInt8]?
        var messageFrame: [UInt8]?
        for slot in members {
            if lives[Int(slot)].isVersion1 {
                let frame = messageFrame ?? encodedFrame(relayed)
                messageFrame = frame
                push(slot, frame)
            } else {
                let frame = rawFrame ?? Self.rawFrame(relayed)
                rawFrame = frame
                if !frame.isEmpty { push(slot, frame) }
            }
        }
    }

    private func sent(_ slot: UInt32, _ relayed: Relayed) -> Bool {
        guard let connection = relayed.connection, connection.instance == shared.instance else { return false }
        return connectionID(slot) == connection
    }

    /// Empty where there is nothing to say without `portcullis.v1`.
    private static func rawFrame(_ relayed: Relayed) -> [UInt8] {
        switch relayed.content {
        case .text(let text), .json(let text): FrameWriter.frame(.text, text.span)
        case .binary(let bytes): FrameWriter.frame(.binary, bytes.span)
        case .missed, .joined, .left: []
        }
    }

    private func encodedFrame(_ relayed: Relayed) -> [UInt8] {
        messageText.removeAll(keepingCapacity: messageText.capacity <= 1 << 16)
        ServerMessage.appendMessage(
            resource: relayed.resource,
            user: relayed.user,
            connection: relayed.connection,
            relayed.content,
            to: &messageText
        )
        let text = messageText
        return FrameWriter.frame(.text, text.span)
    }
}
