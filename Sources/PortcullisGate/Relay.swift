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

    /// Gives a message to every other member, on every loop.
    func relay(_ slot: UInt32, _ resource: Identifier, _ content: Relayed.Content) {
        guard let identity = registry.identity(slot) else { return }
        let relayed = Relayed(
            resource: resource,
            user: identity.user,
            connection: connectionID(slot),
            content: content
        )
        deliver(relayed, except: slot)
        for (other, mailbox) in shared.mailboxes.enumerated() where other != index {
            shared.relaying[other].bytes.add(relayed.weight, ordering: .relaxed)
            mailbox.post(.relayed(relayed))
        }
    }

    /// Delivers to this loop's members. Each form is encoded once, and only where a member reads it.
    func deliver(_ relayed: Relayed, except sender: UInt32?) {
        var members: [UInt32] = []
        rooms.forEachMember(of: relayed.resource) { if $0.slot != sender { members.append($0.slot) } }
        var rawFrame: [UInt8]?
        var messageFrame: [UInt8]?
        for slot in members {
            if lives[Int(slot)].isVersion1 {
                let frame = messageFrame ?? Self.messageFrame(relayed)
                messageFrame = frame
                push(slot, frame)
            } else {
                let frame = rawFrame ?? Self.rawFrame(relayed)
                rawFrame = frame
                push(slot, frame)
            }
        }
    }

    private static func rawFrame(_ relayed: Relayed) -> [UInt8] {
        var frame: [UInt8] = []
        switch relayed.content {
        case .text(let text), .json(let text): FrameWriter.append(.text, text.span, to: &frame)
        case .binary(let bytes): FrameWriter.append(.binary, bytes.span, to: &frame)
        }
        return frame
    }

    private static func messageFrame(_ relayed: Relayed) -> [UInt8] {
        let message = JSONBuilder.object { json in
            json.member("type", "message")
            json.member("resource", relayed.resource)
            json.member("user", relayed.user)
            json.member("connection", relayed.connection.description)
            switch relayed.content {
            case .json(let data): json.member("data", json: data)
            case .text(let text): json.member("data", Identifier(bytes: text))
            case .binary(let bytes):
                var encoded: [UInt8] = []
                Base64.append(bytes.span, to: &encoded)
                json.member("b64", Identifier(bytes: encoded))
            }
        }
        var frame: [UInt8] = []
        FrameWriter.append(.text, message.span, to: &frame)
        return frame
    }
}
