import PortcullisCore
import PortcullisWire
import Testing

@Suite struct ReplacementMessageTests {
    @Test func aReplacementNamesAConnection() throws {
        let connection = ConnectionID(instance: 0xA1, serial: 0x0102_0304_0506_0708)
        let message = ControlMessage.replaced(connection)
        #expect(try ControlMessage.decode(message.encode()) == message)
        #expect(message.encode() == Array(#"{"v":1,"replaced":"000000a10102030405060708"}"#.utf8))
        for text in [#""""#, #""00""#, "7", "null", #""000000A10102030405060708""#] {
            #expect(throws: EventRejection.badField("replaced")) {
                try ControlMessage.decode(Array(#"{"v":1,"replaced":\#(text)}"#.utf8))
            }
        }
    }
}
