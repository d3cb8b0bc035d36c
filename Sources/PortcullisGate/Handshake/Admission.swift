import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
import PortcullisTokens
import PortcullisWire

/// Handshakes that are through: the role, the answer, the welcome.
extension GateLoop {
    /// The role that counts: the stored grant where there is one, removal included, else the credential's claim, else the default.
    func role(_ identity: Identity, on resource: Identifier, _ grant: Grant?) -> Role? {
        if let grant { return grant.role }
        return identity.permissions[resource] ?? configuration.defaultRole
    }

    /// What a handshake is to be bound to.
    struct Bound {
        let resource: Identifier
        let role: Role
        /// Of the stored grant that gives the role; 0 where a claim does.
        let version: Int64
    }

    /// Whether the resource that the request names may be viewed, with what is known now; nil where it names none.
    func checkResource(
        _ request: UpgradeRequest,
        _ identity: Identity,
        _ pending: PendingHandshake,
        _ stored: Grant?
    ) throws(Refusal) -> Bound? {
        guard let resource = request.resource else { return nil }
        let grant = PermissionBook.newer(stored, book.grant(identity.user, resource))
        guard let role = role(identity, on: resource, grant), role >= configuration.roles.viewer else {
            throw Refusal(.forbiddenResource, "the user holds no role on the resource")
        }
        let isFresh = configuration.stepUp.admits(
            resource,
            authenticated: identity.authenticated,
            isMFAVerified: pending.isMFAVerified,
            now: wall,
            leeway: configuration.tokens.leeway
        )
        guard isFresh else { throw Refusal(.reauthenticationRequired, "the resource needs a fresher sign-in") }
        return Bound(resource: resource, role: role, version: grant?.version ?? 0)
    }

    func admit(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake,
        grant stored: Grant?
    ) throws(Refusal) {
        let slot = stream.slot
        guard let request = pending.request, let identity = pending.identity, let length = pending.headLength else {
            throw Refusal(.badRequest, "the handshake is out of order")
        }
        // Its end, or a decision, may have come while Redis was asked.
        if let expires = identity.expires, expires <= wall { throw Refusal(.expired, "it ended during the handshake") }
        if lives[Int(slot)].phase == .asking { try checkStanding(slot, identity) }
        let bound = try checkResource(request, identity, pending, stored)
        if let bound {
            guard roomLinks.stands(bound.resource) else {
                pending.grant = stored
                return wait(for: bound.resource, .handshake(stream))
            }
        }
        output.removeAll(keepingCapacity: true)
        if !pending.isUpgraded { appendUpgrade(request, pending.subprotocol, bytes) }
        guard registry.admit(slot) else { throw Refusal(.revoked, "a decision came before the admission") }
        // Nobody who is refused in the end was ever in the room.
        if let bound {
            rooms.join(slot, bound.resource, role: bound.role, version: bound.version)
            enterRoom(slot, bound.resource)
        }
        let isVersion1 = pending.subprotocol.isVersion1
        lives[Int(slot)].isVersion1 = isVersion1
        lives[Int(slot)].pending = nil
        lives[Int(slot)].phase = .live
        if isVersion1 { appendWelcome(slot, identity, bound) }
        // Whoever has the answer finds it reported.
        if configuration.reportsAdmissions {
            let address = lives[Int(slot)].address
            shared.report(
                .admitted(connectionID(slot), user: identity.user, credential: pending.kind, address: address)
            )
        }
        engine.govern(stream)
        engine.send(stream, output)
        heard(slot)
        armNotice(slot)
        setLifeDeadline(slot)
        sayExpiring(slot)
        guard lives[Int(slot)].phase == .live else { return }
        sessionAdmitted(slot, pending)
        if pending.isMFAVerified == false { unverified.insert(slot) }
        // What came behind the head are frames: some clients do not wait for the answer.
        if bytes.count > length { framesReceived(stream, bytes.extracting(length..<bytes.count)) }
    }

    func appendUpgrade(
        _ request: UpgradeRequest,
        _ subprotocol: Subprotocol,
        _ bytes: Span<UInt8>
    ) {
        acceptInput.removeAll(keepingCapacity: true)
        HandshakeResponse.appendAcceptInput(key: request.key, bytes, to: &acceptInput)
        let input = acceptInput
        let accept = SHA1.digest(input.span)
        HandshakeResponse.appendUpgrade(accept: accept.span, subprotocol: subprotocol, bytes, to: &output)
    }

    private func appendWelcome(_ slot: UInt32, _ identity: Identity, _ bound: Bound?) {
        messageText.removeAll(keepingCapacity: true)
        ServerMessage.appendWelcome(
            .init(
                connection: connectionID(slot),
                identity: identity,
                resource: bound?.resource,
                role: bound?.role,
                permissions: knownPermissions(slot, identity),
                node: configuration.node,
                heartbeat: configuration.heartbeat
            ),
            roles: configuration.roles,
            to: &messageText
        )
        let text = messageText
        FrameWriter.append(.text, text.span, to: &output)
    }
}
