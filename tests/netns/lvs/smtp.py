"""An SMTP server that prints each mail as a line of JSON. Its first argument is how it behaves."""
import asyncio
import json
import sys

from aiosmtpd.smtp import SMTP


class Mailbox:
    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.known = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.behaviour == 'greylisting' and address not in self.known:
            self.known.add(address)
            print(f'later {address}', flush=True)
            return '451 4.7.1 greylisted, come again later'
        if self.behaviour == 'refusing':
            print(f'refused {address}', flush=True)
            return '550 5.1.1 no such mailbox'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            'greeting': 'EHLO' if session.extended_smtp else 'HELO',
            'name': session.host_name,
            'from': envelope.mail_from,
            'to': envelope.rcpt_tos,
            'lines': envelope.original_content.decode().split('\r\n'),
        }), flush=True)
        return '250 OK'


async def main():
    box = Mailbox(sys.argv[1])
    await asyncio.get_running_loop().create_server(lambda: SMTP(box), sys.argv[2], 25)
    print('listening', flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
