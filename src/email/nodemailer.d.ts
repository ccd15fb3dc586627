// nodemailer 10 ships no types. This is the part of it that smtp.ts uses.

declare module 'nodemailer' {
  export type NodemailerError = Error & {
    readonly code?: string;
    readonly originalCode?: string;
    readonly responseCode?: number;
    readonly response?: string;
    readonly command?: string;
    readonly recipient?: string;
  };

  export type SendMailOptions = Readonly<Record<string, unknown>> & { readonly signal?: AbortSignal };

  export type SentInfo = {
    readonly accepted: readonly string[];
    readonly rejectedErrors?: readonly NodemailerError[];
    readonly response: string;
  };

  /** A mail on its way through the plugins. */
  export type MailMessage = {
    readonly data: SendMailOptions;
    readonly message: {
      processFunc(process: (stream: NodeJS.ReadableStream) => NodeJS.ReadableStream): void;
    };
  };

  export type Transporter = {
    use(step: 'compile' | 'stream', plugin: (mail: MailMessage, done: (error?: Error) => void) => void): void;
    sendMail(mail: SendMailOptions): Promise<SentInfo>;
    close(how?: { readonly force: boolean }): void;
  };

  export function createTransport(options: Readonly<Record<string, unknown>>): Transporter;
}
